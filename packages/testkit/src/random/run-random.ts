/** Long random runs of a driver and its silicon against the reference model, audited on the way, shrunk when they fail. */
import { AuditSource, type Token } from '@ioasis/core'
import { type AuditedHost, mustBeSound, SteppedAudit } from '../audit/audit.ts'
import type { DriverWorld } from '../driver-kit/world.ts'
import { drawOperations, type Operation } from './operation.ts'
import { type RandomDeed, RandomHost } from './random-host.ts'
import { shrink } from './shrink.ts'

/** A random run. */
export interface RandomRun {
  readonly seed: number
  readonly steps: number
  /** Makes a fresh world: called once, and again for each attempt to shrink a failure. */
  world(): DriverWorld
  /** Steps from one full audit to the next; default 256. */
  readonly auditEvery?: number
}
/** What a run did. */
export interface RandomReport {
  readonly seed: number
  /** Operations that found something to do, by what they did: `map`, `replace`, `unplug` and the others of `RandomDeed`. */
  readonly did: Readonly<Record<RandomDeed, number>>
  /** Steps audited, and how many of them in full. */
  readonly audits: { readonly steps: number; readonly full: number }
}
interface Failure {
  readonly step: number
  readonly why: string
  readonly log: readonly string[]
}

/**
 * Runs it.
 * @returns how often each kind of operation was done
 * @throws Error that names the seed, the step, what differs, and the shortest list of operations found that fails too
 */
export function runRandom(run: RandomRun): RandomReport {
  const operations = drawOperations(run.seed, run.steps)
  const outcome = attempt(run, operations)
  if (!('why' in outcome)) return outcome
  const prefix = operations.slice(0, outcome.step + 1)
  const shortest = shrink(prefix, (shorter) => 'why' in attempt(run, shorter))
  const again = attempt(run, shortest)
  const { log, why } = 'why' in again ? again : outcome
  throw new Error(
    [
      `random operations, seed ${run.seed}, step ${outcome.step} of ${run.steps}: ${outcome.why}`,
      `${log.length} of them are enough for: ${why}`,
      ...log.map((line) => `  ${line}`),
    ].join('\n'),
  )
}

function attempt(run: RandomRun, operations: readonly Operation[]): Failure | RandomReport {
  const world = run.world()
  const host = new RandomHost(world)
  const audited = withModel(world.host, host)
  const steps = new SteppedAudit(audited, run.auditEvery)
  const log: string[] = []
  try {
    operations.forEach((operation) => {
      const touched = tell(log, host, () => host.apply(operation))
      steps.step(touched)
    })
    mustBeSound(audited)
    host.end()
    return { seed: run.seed, did: host.counts, audits: { steps: steps.steps, full: steps.full } }
  } catch (error) {
    return { step: log.length - 1, why: (error as Error).message, log: log.filter((line) => line !== '') }
  } finally {
    world.close()
  }
}
/** Logs what an operation did, also when it failed. */
function tell<T>(log: string[], host: RandomHost, action: () => T): T {
  try {
    return action()
  } finally {
    log.push(host.did)
  }
}
/** The host, with the model as one more source: what it says is kept may be mapped, and nothing else. */
function withModel(host: AuditedHost, model: RandomHost): AuditedHost {
  const source: AuditSource = { name: 'model', claims: (near) => model.claims(near) }
  return {
    find: (key) => host.find(key),
    all: <T>(key: Token<T>): readonly T[] =>
      (key as symbol) === (AuditSource as symbol) ? [...host.all(key), source as T] : host.all(key),
  }
}
