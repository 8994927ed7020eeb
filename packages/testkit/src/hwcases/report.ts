/** The outcome of played cases, in lines. */
import type { CaseOutcome, Difference } from './player.ts'

/** What the closing line counts. */
export interface Tally {
  /** Asserted. */
  readonly cases: number
  /** Asserted and different. */
  readonly failed: number
  /** Not asserted, each with its reason. */
  readonly exempt: number
}

/** Counts outcomes. */
export function tally(outcomes: readonly CaseOutcome[]): Tally {
  const asserted = outcomes.filter((one) => one.exempt === undefined)
  return {
    cases: asserted.length,
    failed: asserted.filter((one) => one.differences.length > 0).length,
    exempt: outcomes.length - asserted.length,
  }
}
/** `120 cases, 0 failed, 9 exempt`. */
export function closingLine(outcomes: readonly CaseOutcome[]): string {
  const { cases, failed, exempt } = tally(outcomes)
  return `${cases} cases, ${failed} failed, ${exempt} exempt`
}
/** `intel/legacy-walk/te-off steps[1] dma: result.bus: expected "ok", got "error"`. */
export function differenceLine({ case: id, step, op, field, expected, ours }: Difference): string {
  const where = step === undefined ? '' : ` steps[${step}] ${op ?? ''}`
  return `${id}${where}: ${field}: expected ${show(expected)}, got ${show(ours)}`
}
/** A line per difference of the asserted cases. */
export function failureLines(outcomes: readonly CaseOutcome[]): string[] {
  return outcomes.filter((one) => one.exempt === undefined).flatMap((one) => one.differences.map(differenceLine))
}
/** A line per exempt case: its name and the reason. */
export function exemptLines(outcomes: readonly CaseOutcome[]): string[] {
  return outcomes.flatMap((one) => (one.exempt === undefined ? [] : [`${one.case}: ${one.exempt}`]))
}

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 300 ? `${text.slice(0, 300)}...` : text
}
