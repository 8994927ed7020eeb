/**
 * Hostile calls by the hundred thousand, seeded, on hosts with recordings to draw from. In rounds, each on a fresh host: what
 * fails is replayed by seed and round, and made shorter.
 */
import type { Host } from '@ioasis/core'
import { audit } from '../../audit/audit.ts'
import { RandomSource } from '../../random-source.ts'
import { shrink } from '../../random/shrink.ts'
import type { TraceScenario } from '../../traces/trace-file.ts'
import { type TraceMachine, TraceWorld } from '../../traces/trace-world.ts'
import { hostCounters } from '../host-counters.ts'
import { callOfLine, commandsOf, recordedErrors } from './commands.ts'
import { type HostileOperation, HostileProcesses } from './hostile-process.ts'
import { type ScriptValues, scriptValues } from './mutate-line.ts'
import { CommandIndex } from './observed-calls.ts'
import { Statistics } from './statistics.ts'
import { ValuePool } from './value-pool.ts'

/** What is run. */
export interface HostileOptions {
  readonly seed: number
  /** System calls in all; the last round is played to its end. */
  readonly calls: number
  /** Composes a host of its own for each round. */
  readonly make: () => TraceMachine
  /** Recordings of this machine, or of one that answers alike. */
  readonly scenarios: readonly TraceScenario[]
  /** Programs in the language of the scenarios, for commands that no recording makes succeed: each line does. */
  readonly programs?: readonly (readonly string[])[]
  /** Operations between two audits. Default 200. */
  readonly auditEvery?: number
  /** Scenarios in a round. Default 40. */
  readonly scenariosInRound?: number
  /** Commands that nothing can make succeed on this host, each with the reason. */
  readonly refused?: ReadonlyMap<string, string>
  /** Plays this round alone, as the message of a failure says. */
  readonly round?: number
}

/** What came of it. */
export interface HostileReport {
  readonly seed: number
  readonly rounds: number
  readonly audits: number
  /** Of the hostile calls. */
  readonly statistics: Statistics
  /** Of recorded programs, played as they are: they reach what chance does not. */
  readonly directed: Statistics
  /** Recorded errors by command. */
  readonly recorded: ReadonlyMap<string, ReadonlySet<string>>
  /** Calls that took longer than a tenth of a second of real time, in words. */
  readonly slow: readonly string[]
  /** What broke: seed, round, operation, error, and a shorter program that breaks alike. */
  readonly failure: string | undefined
}

/** Least part of the calls of each command that succeed; rounds are planned for a little more. */
export const LEAST_SUCCESS = 0.2
const PLANNED_SUCCESS = 0.28
const SLOW_MS = 100
const SHRINK_BUDGET = 500

/** Runs hostile calls. It stops at the first failure. */
export function runHostile(options: HostileOptions): HostileReport {
  return new HostileRun(options).run()
}

class HostileRun {
  readonly #options: HostileOptions
  readonly #values: ScriptValues
  readonly #statistics = new Statistics()
  readonly #directed = new Statistics()
  readonly #slow: string[] = []
  /** Scenarios in which a command succeeds. */
  readonly #succeeds = new Map<string, number[]>()
  #audits = 0
  #commands: readonly string[] = []

  constructor(given: HostileOptions) {
    const options = { ...given, scenarios: [...given.scenarios, ...(given.programs ?? []).map(scenarioOf)] }
    this.#options = options
    const steps = options.scenarios.flatMap(({ lines }) => lines.filter((line) => line.kind === 'step'))
    this.#values = scriptValues(steps.map(({ src }) => src).filter((src) => callOfLine(src) !== undefined))
  }

  run(): HostileReport {
    const { seed, calls, round: only } = this.#options
    let failure = this.#playDirected()
    let round = 0
    for (; failure === undefined && this.#statistics.calls < calls; round++) {
      const operations = this.#plan(new RandomSource(seed + 7919 * round))
      if (only !== undefined && round > only) break
      failure = this.#play(operations, `seed ${seed}, round ${round}`, this.#statistics)
    }
    return {
      seed,
      rounds: round,
      audits: this.#audits,
      statistics: this.#statistics,
      directed: this.#directed,
      recorded: recordedErrors(this.#options.scenarios),
      slow: this.#slow,
      failure,
    }
  }

  /** Recorded programs as they are, which reach every recorded error that this host answers. */
  #playDirected(): string | undefined {
    const operations = this.#options.scenarios.flatMap(({ lines }, scenario): HostileOperation[] => [
      { do: 'begin', scenario, commands: [] },
      ...lines.map((_, line): HostileOperation => ({ do: 'line', line })),
      { do: 'end', childrenFirst: false },
    ])
    const before = new Map<string, number>()
    let scenario = 0
    return this.#play(operations, 'recorded programs', this.#directed, (operation) => {
      if (operation.do === 'begin') scenario = operation.scenario
      if (operation.do !== 'end') return
      for (const [name, { succeeded }] of this.#directed.commands) {
        if (succeeded > (before.get(name) ?? 0))
          this.#succeeds.set(name, [...(this.#succeeds.get(name) ?? []), scenario])
        before.set(name, succeeded)
      }
    })
  }

  /** What succeeds too seldom is made as it was recorded, in programs where it succeeded. */
  #plan(random: RandomSource): HostileOperation[] {
    const { scenarios, scenariosInRound = 40 } = this.#options
    const starved = new Set(this.#commands.filter((name) => this.#statistics.share(name) < PLANNED_SUCCESS))
    const fed = this.#commands.filter((name) => !starved.has(name))
    const wanted = [...starved].filter((name) => this.#succeeds.has(name))
    const unheard = [...starved].filter((name) => !this.#succeeds.has(name))
    const operations: HostileOperation[] = []
    for (let n = 0; n < scenariosInRound; n++) {
      const focus = wanted.length > 0 && random.chance(1, 2) ? random.pick(wanted) : undefined
      const list = focus === undefined ? undefined : this.#succeeds.get(focus)
      const scenario = list ? random.pick(list) : random.below(scenarios.length)
      const wildness = random.below(list ? 2 : 4)
      this.#planScenario(operations, { scenario, wildness, starved, fed, unheard }, random)
    }
    return operations
  }
  #planScenario(
    operations: HostileOperation[],
    { scenario, wildness, starved, fed, unheard }: ScenarioPlan,
    random: RandomSource,
  ): void {
    const lines = this.#options.scenarios[scenario]?.lines ?? []
    operations.push({ do: 'begin', scenario, commands: fed })
    lines.forEach((line, at) => {
      const name = line.kind === 'step' ? callOfLine(line.src) : undefined
      const scarce = name !== undefined && starved.has(name)
      if (scarce && line.kind === 'step' && line.errno !== null) return
      if (!scarce && random.chance(wildness, 60)) return
      const twice = !scarce && random.chance(wildness, 60)
      const altered = !scarce && name !== undefined && random.chance(wildness, 12)
      operations.push({ do: 'line', line: at, ...(altered ? { seed: random.next() } : {}) })
      if (random.chance(wildness, 80)) operations.push({ do: 'fork' })
      if (twice) operations.push({ do: 'line', line: at })
      for (let n = random.below(2 + 2 * wildness); n > 0; n--) {
        const seed = random.next()
        if (random.chance(1, 4)) operations.push({ do: 'file', seed })
        else if (unheard.length > 0 && random.chance(1, 12))
          operations.push({ do: 'plain', command: random.pick(unheard), seed })
        else operations.push({ do: 'call', seed })
      }
    })
    operations.push({ do: 'end', childrenFirst: random.chance(1, 2) })
  }

  #play(
    operations: readonly HostileOperation[],
    where: string,
    statistics: Statistics,
    done?: (operation: HostileOperation) => void,
  ): string | undefined {
    const found = this.#attempt(operations, statistics, done)
    if (!found) return undefined
    const upTo = operations.slice(0, found.at + 1)
    const shorter = shrink(upTo, (list) => this.#attempt(list, new Statistics())?.kind === found.kind, SHRINK_BUDGET)
    const last = this.#attempt(shorter, new Statistics()) ?? found
    return `${where}, operation ${found.at}: ${found.text}\n  shorter:\n    ${last.told.join('\n    ')}\n  ${last.text}`
  }
  /** @returns what broke */
  #attempt(
    operations: readonly HostileOperation[],
    statistics: Statistics,
    done?: (operation: HostileOperation) => void,
  ): Broken | undefined {
    const { make, scenarios, auditEvery = 200 } = this.#options
    const world = new TraceWorld(make())
    const index = new CommandIndex(commandsOf(world))
    this.#commands = index.all.map(({ name }) => name).filter((name) => this.#options.refused?.has(name) !== true)
    const pool = new ValuePool()
    const processes = new HostileProcesses({ world, scenarios, values: this.#values, index, pool, statistics })
    const before = hostCounters(world.host)
    const told: string[] = []
    const { circles } = statistics
    let at = 0
    try {
      for (; at < operations.length; at++) {
        const operation = operations[at] as HostileOperation
        const began = Date.now()
        const text = processes.run(operation)
        told.push(text)
        done?.(operation)
        if (Date.now() - began > SLOW_MS) this.#slow.push(`${Date.now() - began} ms: ${text}`)
        if (at % auditEvery === 0 || at === operations.length - 1) this.#mustBeSound(world.host)
      }
      processes.end()
      this.#mustBeSound(world.host)
      if (statistics.circles === circles) this.#mustHoldNothing(world.host, before)
      world.host.close()
      return undefined
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      return { at: Math.min(at, operations.length - 1), told, text, kind: kindOf(text) }
    }
  }
  #mustBeSound(host: Host): void {
    this.#audits++
    const { violations } = audit(host)
    if (violations.length > 0) throw new Error(`the audit found: ${violations.join('; ')}`)
  }
  #mustHoldNothing(host: Host, before: ReturnType<typeof hostCounters>): void {
    const after = hostCounters(host)
    for (const name of ['pinned pages', 'owned groups', 'processes', 'bytes of processes']) {
      if (after[name] !== before[name]) throw new Error(`left: ${name} ${after[name]}, before ${before[name]}`)
    }
  }
}

/** A program as if it had been recorded. */
const scenarioOf = (lines: readonly string[], i: number): TraceScenario => ({
  scenario: `program ${i + 1}`,
  title: 'program',
  machine: '',
  lines: lines.map((src, at) => {
    const op = src.split(' ', 1)[0] as string
    return { kind: 'step', step: at + 1, op, in: {}, ret: 0, errno: null, out: {}, src }
  }),
})

/** How a scenario is disturbed. */
interface ScenarioPlan {
  readonly scenario: number
  /** From 0: as recorded but for calls between its lines. */
  readonly wildness: number
  /** Commands that succeed too seldom. */
  readonly starved: ReadonlySet<string>
  /** Commands that may be called from nowhere. */
  readonly fed: readonly string[]
  /** Commands too seldom successful that no recording makes succeed. */
  readonly unheard: readonly string[]
}
interface Broken {
  readonly at: number
  /** What was done before. */
  readonly told: readonly string[]
  readonly text: string
  /** Equal for failures of one cause. */
  readonly kind: string
}
/** Message and first places of the stack, without numbers. */
const kindOf = (text: string): string => text.split('\n').slice(0, 2).join(' ').replace(/\d+/g, 'n').slice(0, 160)
