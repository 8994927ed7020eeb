/** Plays hardware cases against a unit. A case that differs, or a unit that throws, ends up in the outcome: nothing escapes. */
import type { CaseFile, CaseStep, HwCase } from './case-file.ts'
import { CaseMachine, type MakeCaseUnit } from './case-machine.ts'
import type { FieldDifference } from './compare.ts'
import { type Deviations, exemption, type Personality } from './deviations.ts'
import { selected } from './select.ts'
import { compareAfter, type Play, STEP_ROWS } from './steps.ts'

/** One expectation of a case that was not met. */
export interface Difference extends FieldDifference {
  /** `intel/legacy-walk/te-off`. */
  readonly case: string
  /** Index in `steps`; absent for the registers at the end. */
  readonly step?: number
  readonly op?: string
}

/** How a case ended. */
export interface CaseOutcome {
  /** File, group and name. */
  readonly case: string
  readonly group: string
  readonly differences: readonly Difference[]
  /** Why the case is not asserted; its differences are then for information. */
  readonly exempt?: string
  /** Where the case leaves a choice: the alternative that the unit took, by step. */
  readonly alternatives: readonly { readonly step: number; readonly alternative: number }[]
}

/** How cases are played. */
export interface PlayOptions {
  readonly make: MakeCaseUnit
  /** Absent: `specification`. */
  readonly personality?: Personality
  readonly deviations?: Deviations
  /** `NAME` or `NAME/GLOB`; absent: all. */
  readonly select?: readonly string[]
  /** The unit's caches hold everything and drop exactly what a command names; absent: either kind of cache is right. */
  readonly exactCaches?: boolean
}

/** Plays the selected cases of a file, in its order. */
export function playFile(file: CaseFile, options: PlayOptions): CaseOutcome[] {
  return file.cases.filter((one) => selected(one, options.select)).map((one) => playCase(file, one, options))
}

/** Plays one case on a fresh machine. An exempt case is played too: it must not break the unit. */
export function playCase(file: CaseFile, hwCase: HwCase, options: PlayOptions): CaseOutcome {
  const { personality = 'specification', deviations = new Map(), exactCaches = false } = options
  const id = `${file.name}/${hwCase.group}/${hwCase.name}`
  const exempt = exemption(file, hwCase, deviations, personality)
  const differences: Difference[] = []
  const alternatives: { step: number; alternative: number }[] = []
  for (const field of hwCase.unread)
    differences.push({ case: id, field, expected: 'known fields', ours: 'the player does not know this one' })
  let current = -1
  const guarded = (run: () => readonly FieldDifference[]): void => {
    const at = current < 0 ? {} : { step: current, op: (hwCase.steps[current] as CaseStep).op }
    try {
      for (const difference of run()) differences.push({ case: id, ...at, ...difference })
    } catch (error) {
      differences.push({ case: id, ...at, field: 'exception', expected: 'none', ours: String(error) })
    }
  }
  guarded(() => {
    const machine = new CaseMachine(file, hwCase, options.make, file.format === 2 ? 'specification' : personality)
    const chose = (alternative: number): void => void alternatives.push({ step: current, alternative })
    const play: Play = { machine, iommu: file.iommu, format: file.format, exactCaches, chose }
    for (const [index, step] of hwCase.steps.entries()) {
      current = index
      guarded(() => runStep(play, step))
    }
    current = -1
    return hwCase.after ? compareAfter(play, hwCase.after) : []
  })
  return { case: id, group: hwCase.group, differences, alternatives, ...(exempt === undefined ? {} : { exempt }) }
}

/** The compiler cannot see that a step's own op chose the row. */
const runStep = (play: Play, step: CaseStep): FieldDifference[] =>
  (STEP_ROWS[step.op] as (play: Play, step: CaseStep) => FieldDifference[])(play, step)
