/**
 * fail-nth over recorded scenarios: at each step every point of failure fails in turn. The call is refused, leaves what was
 * there, and works when it is tried again: the answer in the end is the recorded one. Where Linux keeps an effect of a call
 * that failed, the scenario is played again up to that step.
 */
import { FAILURE_KINDS, type FailedPoint, type FailureKind, type FailurePoints, Failures } from '@ioasis/core'
import { audit } from '../audit/audit.ts'
import { compareStep } from '../traces/compare-step.ts'
import { exemptionOf, EXEMPTIONS, stepExemptionOf } from '../traces/exemptions.ts'
import { playLine } from '../traces/operations.ts'
import type { StepOutcome } from '../traces/outcome.ts'
import { playScenario } from '../traces/play-scenario.ts'
import { TraceError, type TraceScenario, type TraceStep } from '../traces/trace-file.ts'
import { TraceProcess } from '../traces/trace-process.ts'
import { type TraceMachine, TraceWorld } from '../traces/trace-world.ts'
import { ArmedCalls } from './armed-calls.ts'
import { countersThatChanged, type HostCounters, hostCounters, processCounters } from './host-counters.ts'
import { type KeptEffect, KEPT_EFFECTS, keptEffect } from './kept-effects.ts'

/** How it is done. */
export interface FailNthOptions {
  /** Composes the machine of the scenarios. Called again when a step broke the host. */
  readonly make: () => TraceMachine
  /** Where an effect is kept; default: the list of this package. */
  readonly kept?: readonly KeptEffect[]
  /**
   * Every page that a step pins fails to be pinned, and the counters of the host are compared after each. The audit follows after
   * this many, then after ever fewer, and after the last one; default: after each. After other points it follows always.
   */
  readonly auditedPins?: number
}

/** What was found. */
export interface FailNthReport {
  readonly scenarios: number
  readonly steps: number
  /** Points that steps passed, by kind. */
  readonly hit: ReadonlyMap<FailureKind, number>
  /** Points that were made to fail, by kind. */
  readonly tried: ReadonlyMap<FailureKind, number>
  /** Of these, points after which the scenario was played anew. */
  readonly kept: number
  /** Rows of the table that were needed. */
  readonly used: ReadonlySet<KeptEffect>
  /** What is not as it must be: scenario, step, point, and what was found. */
  readonly problems: readonly string[]
}

/** Plays scenarios of one machine, each with every point failing once. */
export function failNth(scenarios: readonly TraceScenario[], options: FailNthOptions): FailNthReport {
  const run = new FailNth(options)
  for (const scenario of scenarios) run.play(scenario)
  run.close()
  return run
}

/** Which point fails. */
interface Turn {
  readonly nth: number
  readonly kinds: readonly FailureKind[]
}
const NONE: Turn = { nth: Infinity, kinds: FAILURE_KINDS }
const OTHERS: readonly FailureKind[] = FAILURE_KINDS.filter((kind) => kind !== 'pin')

/** How a step went. */
interface Attempt {
  readonly ours: (StepOutcome & { readonly op: string }) | undefined
  readonly failed: FailedPoint | undefined
}

class FailNth implements FailNthReport {
  scenarios = 0
  steps = 0
  kept = 0
  readonly hit = new Map<FailureKind, number>()
  readonly tried = new Map<FailureKind, number>()
  readonly used = new Set<KeptEffect>()
  readonly problems: string[] = []
  readonly #options: FailNthOptions
  /** Pages that each line pins. */
  readonly #pins = new Map<number, number>()
  /** What the host holds while nobody runs. */
  #before: HostCounters = {}
  #world: TraceWorld | undefined
  #broken = false

  constructor(options: FailNthOptions) {
    this.#options = options
  }
  close(): void {
    this.#world?.host.close()
    this.#world = undefined
  }

  play(scenario: TraceScenario): void {
    this.scenarios++
    this.#broken = false
    this.#warm(scenario)
    this.#playFailing(scenario)
    if (!this.#broken) this.#mustBeUsable(scenario)
    if (this.#broken) this.#world = undefined
  }

  get #host(): TraceWorld {
    return (this.#world ??= new TraceWorld(this.#options.make()))
  }
  /** What is made at the first use and stays, such as tables of a bus, is there before anything is counted. */
  #warm(scenario: TraceScenario): void {
    const run = new Run(scenario, this.#host)
    this.#pins.clear()
    scenario.lines.forEach((line, at) => {
      if (line.kind === 'pause') return run.world.pass(line.ms)
      run.step(line, at, NONE)
      for (const [kind, n] of run.points.passed) add(this.hit, kind, n)
      this.#pins.set(at, run.points.passed.get('pin') ?? 0)
    })
    run.end()
    this.#before = hostCounters(this.#host.host)
  }
  #playFailing(scenario: TraceScenario): void {
    let run = new Run(scenario, this.#host)
    scenario.lines.forEach((line, at) => {
      if (this.#broken) return
      if (line.kind === 'pause') run.world.pass(line.ms)
      else {
        this.steps++
        run = this.#everyPoint(run, line, at)
      }
    })
    if (!this.#broken) run.end()
  }
  /** @returns the run that went on: another one where effects are kept */
  #everyPoint(first: Run, step: TraceStep, at: number): Run {
    let run = first
    const pins = this.#pins.get(at) ?? 0
    const audited = new Set(chosen(pins, this.#options.auditedPins ?? Infinity))
    const turns = (function* (): Generator<Turn, void, undefined> {
      for (let nth = 1; nth <= pins; nth++) yield { nth, kinds: ['pin'] }
      for (let nth = 1; ; nth++) yield { nth, kinds: OTHERS }
    })()
    for (const turn of turns) {
      const was = run.counters
      const { ours, failed } = this.#attempt(run, step, at, turn)
      if (!failed) {
        if (ours) this.#mustBeRecorded(run, step, ours)
        break
      }
      add(this.tried, failed.kind, 1)
      run.retried = true
      const kept = keptEffect(this.#options.kept ?? KEPT_EFFECTS, step, failed)
      const where = `${place(run.scenario, step)}, point ${turn.nth} (${failed.kind}: ${failed.what})`
      if (ours) this.#mustBeRefused(where, step, ours, failed, kept)
      if (failed.kind !== 'pin' || audited.has(turn.nth)) this.#audit(where)
      if (this.#broken) break
      if (kept) {
        this.kept++
        this.used.add(kept)
        run = this.#anew(run, at, where)
      } else this.#mustBeAsBefore(where, was, run.counters)
    }
    return run
  }
  #attempt(run: Run, step: TraceStep, at: number, turn: Turn): Attempt {
    try {
      const ours = run.step(step, at, turn)
      return { ours, failed: run.points.disarm() }
    } catch (error) {
      const failed = run.points.disarm()
      this.problems.push(`${place(run.scenario, step)}, point ${turn.nth}: ${String(error)} ${stackOf(error)}`)
      if (!(error instanceof TraceError)) this.#broken = true
      return { ours: undefined, failed: this.#broken ? undefined : failed }
    }
  }
  #mustBeRecorded({ scenario, retried }: Run, step: TraceStep, ours: NonNullable<Attempt['ours']>): void {
    // Probes count what happened, tries included.
    if (retried && step.op === 'probe_hits') return
    for (const { field, recorded, ours: found } of compareStep(step, ours, { lockedVaries: true })) {
      const at = { machine: scenario.machine, scenario: scenario.scenario, step: step.step, field }
      if (exemptionOf(EXEMPTIONS, at) ?? stepExemptionOf(at)) continue
      this.problems.push(`${place(scenario, step)}: ${field}: recorded ${recorded}, after failures ${found}`)
    }
  }
  #mustBeAsBefore(where: string, before: HostCounters, after: HostCounters): void {
    for (const change of countersThatChanged(before, after)) this.problems.push(`${where}: ${change}`)
  }
  #mustBeRefused(
    where: string,
    step: TraceStep,
    ours: NonNullable<Attempt['ours']>,
    failed: FailedPoint,
    kept: KeptEffect | undefined,
  ): void {
    const wanted = kept?.answers ?? (failed.kind === 'copy-out' ? 'EFAULT' : 'ENOMEM')
    if (wanted === 'recorded') return
    if (ours.errno !== wanted) {
      this.problems.push(`${where}: ${ours.errno ?? `returns ${ours.ret}`} where ${wanted} is due, in ${step.src}`)
    }
  }
  #audit(where: string): void {
    try {
      for (const violation of audit(this.#host.host).violations) this.problems.push(`${where}: ${violation}`)
    } catch (error) {
      this.problems.push(`${where}: ${String(error)}`)
      this.#broken = true
    }
  }
  /** The process ends, and nothing of it is left; another one comes as far. */
  #anew(old: Run, to: number, where: string): Run {
    const { scenario } = old
    old.end()
    this.#audit(`${where}, and the process ended`)
    this.#mustBeAsBefore(`${where}, and the process ended`, this.#before, hostCounters(old.world.host))
    if (leavesTraces(scenario)) {
      this.close()
      playScenario(scenario, this.#host, { audit: false })
      this.#before = hostCounters(this.#host.host)
    }
    const run = new Run(scenario, this.#host)
    scenario.lines.slice(0, to).forEach((line, at) => {
      if (line.kind === 'pause') run.world.pass(line.ms)
      else run.step(line, at, NONE)
    })
    run.retried = true
    return run
  }
  #mustBeUsable(scenario: TraceScenario): void {
    const where = `${scenario.scenario} afterwards`
    this.#audit(where)
    this.#mustBeAsBefore(where, this.#before, hostCounters(this.#host.host))
    const { differences, broken } = playScenario(scenario, this.#host)
    for (const { step, field, recorded, ours, exempt } of differences) {
      if (exempt === undefined) this.problems.push(`${where}, step ${step} ${field}: recorded ${recorded}, now ${ours}`)
    }
    this.#broken ||= broken
  }
}

/** A process on its way through a scenario. */
class Run {
  readonly scenario: TraceScenario
  readonly process: TraceProcess
  readonly points: FailurePoints
  /** Some step was tried more than once. */
  retried = false
  readonly world: TraceWorld
  readonly #armed: ArmedCalls

  constructor(scenario: TraceScenario, world: TraceWorld) {
    this.scenario = scenario
    this.world = world
    this.points = world.host.get(Failures)
    this.process = new TraceProcess(world, world.begin())
    this.#armed = new ArmedCalls(this.process.calls, this.points)
  }
  get counters(): HostCounters {
    return processCounters(this.world.host, this.process.calls)
  }
  step({ src }: TraceStep, at: number, turn: Turn): StepOutcome & { readonly op: string } {
    return this.#armed.run(turn.nth, turn.kinds, () => playLine(src, this.#part(src, at), this.process))
  }
  end(): void {
    this.world.end(this.process.calls)
  }
  /** One line may arm several probes, each in a step. */
  #part(src: string, at: number): number {
    const { lines } = this.scenario
    let part = 0
    for (let i = at - 1; i >= 0; i--) {
      const line = lines[i]
      if (line?.kind !== 'step') continue
      if (line.src !== src || line.op !== 'probe_arm') break
      part++
    }
    return part
  }
}

/** @returns of 1 to `count` the first `most`, then ever fewer, and the last one */
function chosen(count: number, most: number): readonly number[] {
  const found: number[] = []
  for (let nth = 1; nth < count; nth += nth < most ? 1 : Math.ceil(nth / 2)) found.push(nth)
  return count > 0 ? [...found, count] : found
}
function add<K>(counts: Map<K, number>, key: K, n: number): void {
  counts.set(key, (counts.get(key) ?? 0) + n)
}

/** What it makes outlives its process: devices that are made through sysfs, settings. */
const leavesTraces = ({ lines }: TraceScenario): boolean =>
  lines.some((line) => line.kind === 'step' && (line.op === 'mdev' || line.op === 'sysfs_write'))

const place = ({ scenario }: TraceScenario, { step, op }: TraceStep): string => `${scenario} step ${step} ${op}`
const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 6).join(' ') : ''
