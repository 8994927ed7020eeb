/** Plays recorded scenarios on a host: the script lines are the program, the rest is what must come out. */
import type { SystemCalls } from '@ioasis/core'
import { audit } from '../audit/audit.ts'
import { compareStep, type StepDifference } from './compare-step.ts'
import { type Exemption, exemptionOf, EXEMPTIONS, stepExemptionOf } from './exemptions.ts'
import { playLine } from './operations.ts'
import type { StepOutcome } from './outcome.ts'
import { playPowerLine } from './power/play-power-line.ts'
import { PowerProcess } from './power/power-process.ts'
import { TraceError, type TraceScenario, type TraceStep } from './trace-file.ts'
import { TraceProcess } from './trace-process.ts'
import type { TraceWorld } from './trace-world.ts'

/** A value that is not as recorded, with its place. */
export interface TraceDifference extends StepDifference {
  readonly machine: string
  readonly scenario: string
  readonly step: number
  readonly src: string
  /** Why it does not count. */
  readonly exempt?: string
}

/** What was found in one scenario. */
export interface ScenarioOutcome {
  readonly machine: string
  readonly scenario: string
  readonly title: string
  /** Recorded steps. */
  readonly steps: number
  /** Those that were played: fewer than `steps` when a step could not be played at all. */
  readonly played: readonly PlayedStep[]
  readonly differences: readonly TraceDifference[]
  /** A step broke a promise of our own parts: the host is not to be used any more. */
  readonly broken: boolean
}

/** A step beside its recording. */
export interface PlayedStep {
  readonly recorded: TraceStep
  readonly ours: StepOutcome & { readonly op: string }
  readonly lockedVaries: boolean
}

/** How scenarios are played. */
export interface TracePlayOptions {
  /** Default: the list of this package. */
  readonly exemptions?: readonly Exemption[]
  /** Audits the host after every step (default), or not at all. */
  readonly audit?: boolean
  /** Told of each step before it is played. */
  readonly onStep?: (step: TraceStep, process: PlayedProcess) => void
}
/** The process that runs a scenario, whichever language its script is in. */
export interface PlayedProcess {
  readonly world: TraceWorld
  readonly calls: SystemCalls
}

/** Plays one scenario in a process of its own. Every difference is found; none is thrown. */
export function playScenario(
  scenario: TraceScenario,
  world: TraceWorld,
  options: TracePlayOptions = {},
): ScenarioOutcome {
  return new Play(scenario, world, options).run()
}

/** Plays the lines of one scenario. */
interface Player {
  readonly process: PlayedProcess
  /** @param part which of several steps of the line */
  play(src: string, part: number): StepOutcome & { readonly op: string }
}

function playerOf({ dialect }: TraceScenario, world: TraceWorld): Player {
  if (dialect === 'power') {
    const process = new PowerProcess(world, world.begin())
    return { process, play: (src) => playPowerLine(src, process) }
  }
  const process = new TraceProcess(world, world.begin())
  return { process, play: (src, part) => playLine(src, part, process) }
}

class Play {
  readonly #scenario: TraceScenario
  readonly #world: TraceWorld
  readonly #options: TracePlayOptions
  readonly #differences: TraceDifference[] = []
  readonly #played: PlayedStep[] = []
  #broken = false
  #last: TraceStep | undefined
  #part = 0

  constructor(scenario: TraceScenario, world: TraceWorld, options: TracePlayOptions) {
    this.#scenario = scenario
    this.#world = world
    this.#options = options
  }

  run(): ScenarioOutcome {
    const steps = this.#scenario.lines.filter((line) => line.kind === 'step')
    const first = steps[0]
    const player = this.#guard(first, () => playerOf(this.#scenario, this.#world))
    if (player) {
      for (const line of this.#scenario.lines) {
        if (line.kind === 'pause') this.#world.pass(line.ms)
        else if (!this.#step(line, player)) break
      }
      this.#guard(steps.at(-1), () => {
        this.#world.end(player.process.calls)
        this.#audit(steps.at(-1))
      })
    }
    const { machine, scenario, title } = this.#scenario
    return {
      machine,
      scenario,
      title,
      steps: steps.length,
      played: this.#played,
      differences: this.#differences,
      broken: this.#broken,
    }
  }

  /** @returns whether the next step can be played */
  #step(step: TraceStep, player: Player): boolean {
    this.#part = this.#last?.src === step.src && this.#last.op === 'probe_arm' ? this.#part + 1 : 0
    this.#last = step
    this.#options.onStep?.(step, player.process)
    const ours = this.#guard(step, () => player.play(step.src, this.#part))
    if (!ours) return false
    const lockedVaries = this.#scenario.scenario.startsWith('type1/')
    this.#played.push({ recorded: step, ours, lockedVaries })
    for (const difference of compareStep(step, ours, { lockedVaries })) this.#add(step, difference)
    return this.#guard(step, () => this.#audit(step)) !== undefined
  }
  #audit(step: TraceStep | undefined): true {
    if (!step || this.#options.audit === false) return true
    for (const violation of audit(this.#world.host).violations) {
      this.#add(step, { field: 'audit', recorded: 'sound', ours: violation })
    }
    return true
  }
  /** What cannot be played at all is a difference, too. */
  #guard<T>(step: TraceStep | undefined, action: () => T): T | undefined {
    try {
      return action()
    } catch (error) {
      if (!(error instanceof TraceError)) this.#broken = true
      const ours = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
      if (step) this.#add(step, { field: 'error', recorded: 'none', ours })
      return undefined
    }
  }
  #add({ step, src }: TraceStep, difference: StepDifference): void {
    const { machine, scenario } = this.#scenario
    const at = { machine, scenario, step, field: difference.field }
    const exempt = exemptionOf(this.#options.exemptions ?? EXEMPTIONS, at) ?? stepExemptionOf(at)
    this.#differences.push({ ...at, src, ...difference, ...(exempt ? { exempt: exempt.reason } : {}) })
  }
}
