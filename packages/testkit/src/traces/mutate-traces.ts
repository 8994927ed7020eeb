/** Alters recorded values, to see that the comparison notices. */
import type { RandomSource } from '../random-source.ts'
import { compareStep } from './compare-step.ts'
import type { PlayedStep, ScenarioOutcome } from './play-scenario.ts'
import type { Fields, TraceStep } from './trace-file.ts'

/** How many alterations were noticed. */
export interface MutationTally {
  readonly tried: number
  readonly noticed: number
  /** Those that were not, in a sentence each. */
  readonly missed: readonly string[]
}

interface Leaf {
  readonly scenario: string
  readonly played: PlayedStep
  readonly path: readonly (string | number)[]
  readonly value: unknown
}

/**
 * Alters one recorded value at a time, in steps that agreed, and compares again.
 * @param outcomes of scenarios that were played
 * @param count alterations
 * @param random seeded: the same values each time
 */
export function mutateTraces(outcomes: readonly ScenarioOutcome[], count: number, random: RandomSource): MutationTally {
  const leaves = outcomes.flatMap((o) => o.played.flatMap((played) => leavesOf(o, played)))
  const missed: string[] = []
  for (let i = 0; i < count; i++) {
    const leaf = leaves[random.below(leaves.length)] as Leaf
    const changed = changedValue(leaf.value, random)
    if (!noticed(leaf, changed)) {
      const { scenario, played, path, value } = leaf
      missed.push(`${scenario} step ${played.recorded.step} ${path.join('.')}: ${short(value)} -> ${short(changed)}`)
    }
  }
  return { tried: count, noticed: count - missed.length, missed }
}

/** A value for a message: never long. */
function short(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** Values of a step that agrees with its recording; of another one a change would be noticed anyhow. */
function leavesOf(outcome: ScenarioOutcome, played: PlayedStep): Leaf[] {
  const { recorded, ours, lockedVaries } = played
  if (compareStep(recorded, ours, { lockedVaries }).length > 0) return []
  const { ret, errno, signal } = recorded
  const parts = { in: recorded.in, out: recorded.out, ret, errno, ...(signal === undefined ? {} : { signal }) }
  return pathsOf(parts).map(({ path, value }) => ({
    scenario: `${outcome.machine} ${outcome.scenario}`,
    played,
    path,
    value,
  }))
}

function pathsOf(value: unknown, path: readonly (string | number)[] = []): Pick<Leaf, 'path' | 'value'>[] {
  if (typeof value !== 'object' || value === null) return [{ path, value }]
  return Object.entries(value).flatMap(([key, one]) => pathsOf(one, [...path, key]))
}

function noticed({ played, path }: Leaf, changed: unknown): boolean {
  const altered = setAt(played.recorded, path, changed) as unknown as TraceStep
  return compareStep(altered, played.ours, { lockedVaries: played.lockedVaries }).length > 0
}

function setAt(value: unknown, path: readonly (string | number)[], changed: unknown): Fields {
  const [first, ...rest] = path
  if (first === undefined) return changed as Fields
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as Fields) }
  ;(copy as Record<string, unknown>)[first] = setAt((value as Record<string, unknown>)[first], rest, changed)
  return copy as Fields
}

/** Another value of the same kind. */
function changedValue(value: unknown, random: RandomSource): unknown {
  if (value === null) return 'EINVAL'
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return random.below(2) === 0 ? value + 1 : value ^ (1 << random.below(31))
  const text = value as string
  if (text === '') return 'x'
  const at = random.below(text.length)
  return text.slice(0, at) + otherCharacter(text[at] as string) + text.slice(at + 1)
}

/** The next hexadecimal digit for a digit, another letter for a letter. */
function otherCharacter(c: string): string {
  if (/[0-9a-f]/.test(c)) return ((parseInt(c, 16) + 1) % 16).toString(16)
  return c === 'Z' ? 'A' : 'Z'
}
