/** Recorded values that our host is not held to, each with its reason. All of them stand here. */

/** One value that is left out. */
export interface Exemption {
  /** `intel-sc.type1`, or `*` for all machines. */
  readonly machine: string
  readonly scenario: string
  readonly step: number
  /** `out.NAME` or `in.NAME`; never an errno or a result. */
  readonly field: string
  /** Why the recording does not bind us, in a sentence. */
  readonly reason: string
}

/** The list. */
export const EXEMPTIONS: readonly Exemption[] = ['in.length', 'out.data'].map((field) => ({
  machine: 'intel-noir.type1',
  scenario: 'vfio-cdev/parked-device-dma',
  step: 22,
  field,
  reason: 'its script line asks for 48 bytes, the recording holds an earlier run that read 16',
}))

/** A whole step that is left out, its result too. */
export interface StepExemption {
  /** `powernv10`, or `*` for all machines. */
  readonly machine: string
  readonly scenario: string
  readonly step: number
  /** Why the recording does not bind us, in a sentence. */
  readonly reason: string
}

const UNMAPS =
  'Linux 6.12 clears memory behind the table; 7.2 checks the length and answers 1 (arch/powerpc/kernel/iommu.c iommu_tce_check_ioba)'
const MAPS =
  'Linux writes behind the table (drivers/vfio/vfio_iommu_spapr_tce.c tce_iommu_build_v2); here EINVAL, and nothing is mapped'
const pastTheEnd = (scenario: string, steps: readonly number[], reason: string): readonly StepExemption[] =>
  steps.map((step) => ({ machine: '*', scenario, step, reason }))

/** Steps in which the recorded kernel reaches outside its tables. There is nothing else in it. */
export const STEP_EXEMPTIONS: readonly StepExemption[] = [
  ...pastTheEnd('36-v2-unmap-past-end', [10, 12], UNMAPS),
  ...pastTheEnd('32-v2-map-past-end', [9, 14], MAPS),
]

/** The reason why a whole step does not count. */
export const stepExemptionOf = (at: {
  readonly machine: string
  readonly scenario: string
  readonly step: number
}): StepExemption | undefined =>
  STEP_EXEMPTIONS.find(
    (e) => (e.machine === '*' || e.machine === at.machine) && e.scenario === at.scenario && e.step === at.step,
  )

/** @throws Error when an exemption names something that may not be left out, or gives no reason */
export function checkExemptions(exemptions: readonly Exemption[]): void {
  for (const { scenario, step, field, reason } of exemptions) {
    const where = `exemption ${scenario} step ${step} ${field}`
    if (!/^(?:in|out)\./.test(field)) throw new Error(`${where}: only a value handed in or written can be exempt`)
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
