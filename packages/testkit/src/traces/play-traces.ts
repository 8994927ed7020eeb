/** Plays many scenarios, those of one machine on one host, and counts. */
import { lastingSettings } from './lasting-settings.ts'
import { checkExemptions, EXEMPTIONS } from './exemptions.ts'
import { type TracePlayOptions, playScenario, type ScenarioOutcome, type TraceDifference } from './play-scenario.ts'
import type { TraceScenario } from './trace-file.ts'
import { type TraceMachine, TraceWorld } from './trace-world.ts'

/** How traces are played. */
export interface TraceOptions extends TracePlayOptions {
  /** Composes a machine by its recorded name, `intel-sc.type1`. Called again after a step broke the host. */
  readonly make: (machine: string) => TraceMachine
  /**
   * Scenarios that came before a given one and are not played: what they left in sysfs is set first. Default: none, as when
   * all of a machine are played.
   */
  readonly before?: (scenario: TraceScenario) => readonly TraceScenario[]
  /** Told before each scenario. */
  readonly onScenario?: (scenario: TraceScenario) => void
}

/**
 * Plays scenarios in the order given. Those of one machine share a host, as the recorded ones shared a boot: what one leaves
 * in sysfs, the next one finds. On POWER machines each had a boot of its own.
 * @throws Error for an exemption that may not be
 */
export function playTraces(scenarios: readonly TraceScenario[], options: TraceOptions): readonly ScenarioOutcome[] {
  checkExemptions(options.exemptions ?? EXEMPTIONS)
  const worlds = new Map<string, TraceWorld>()
  const drop = (machine: string): void => {
    const world = worlds.get(machine)
    worlds.delete(machine)
    world?.host.close()
  }
  const play = (scenario: TraceScenario): ScenarioOutcome => {
    options.onScenario?.(scenario)
    const { machine } = scenario
    const world = worlds.get(machine) ?? new TraceWorld(options.make(machine))
    worlds.set(machine, world)
    world.settings = lastingSettings(options.before?.(scenario) ?? [])
    const outcome = playScenario(scenario, world, options)
    if (outcome.broken) {
      worlds.delete(machine)
      closeBroken(world)
    } else if (scenario.dialect === 'power') drop(machine)
    return outcome
  }
  try {
    return scenarios.map(play)
  } finally {
    for (const machine of worlds.keys()) drop(machine)
  }
}

/** A host that broke a promise may not be able to close; what it broke was told already. */
function closeBroken(world: TraceWorld): void {
  try {
    world.host.close()
  } catch {
    // the first error counts
  }
}

/** What was counted. */
export interface TraceTally {
  /** Recorded steps. */
  readonly steps: number
  readonly differences: number
  readonly exempt: number
}

/** Counts outcomes. */
export function tallyTraces(outcomes: readonly ScenarioOutcome[]): TraceTally {
  const all = outcomes.flatMap((o) => o.differences)
  const exempt = all.filter((d) => d.exempt !== undefined).length
  return { steps: outcomes.reduce((sum, o) => sum + o.steps, 0), differences: all.length - exempt, exempt }
}

/** `S steps, D differences, X exempt`. */
export function traceClosingLine(outcomes: readonly ScenarioOutcome[]): string {
  const { steps, differences, exempt } = tallyTraces(outcomes)
  return `${steps} steps, ${differences} differences, ${exempt} exempt`
}

/** One line for each difference: machine, scenario, step, field, recorded, ours. */
export const traceDifferenceLine = ({ machine, scenario, step, field, recorded, ours }: TraceDifference): string =>
  `${machine} ${scenario} step ${step} ${field}: recorded ${short(recorded)}, ours ${short(ours)}`

const LONGEST = 400
const short = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text)
