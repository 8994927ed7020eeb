/** Recorded values that our host is not held to, each with its reason. All of them stand here. */

/** One value that is left out. */
export interface Exemption {
  /** `intel-sc.type1`, or `*` for all machines. */
  readonly machine: string
  readonly scenario: string
  readonly step: number
  /** `out.NAME`; never an errno or a result. */
  readonly field: string
  /** Why the recording does not bind us, in a sentence. */
  readonly reason: string
}

/** The list. */
export const EXEMPTIONS: readonly Exemption[] = []

/** @throws Error when an exemption names something that may not be left out, or gives no reason */
export function checkExemptions(exemptions: readonly Exemption[]): void {
  for (const { scenario, step, field, reason } of exemptions) {
    const where = `exemption ${scenario} step ${step} ${field}`
    if (!field.startsWith('out.')) throw new Error(`${where}: only a value that the kernel wrote can be exempt`)
    if (reason.trim() === '') throw new Error(`${where}: no reason`)
  }
}

/** The exemption for a value, if there is one. */
export const exemptionOf = (
  exemptions: readonly Exemption[],
  at: { readonly machine: string; readonly scenario: string; readonly step: number; readonly field: string },
): Exemption | undefined =>
  exemptions.find(
    (e) =>
      (e.machine === '*' || e.machine === at.machine) &&
      e.scenario === at.scenario &&
      e.step === at.step &&
      e.field === at.field,
  )
