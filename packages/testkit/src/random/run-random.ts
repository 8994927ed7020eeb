/** Long random runs of a driver and its silicon against the reference model, audited on the way, shrunk when they fail. */
import { AuditSource, type Token } from '@ioasis/core'
import { type AuditedHost, mustBeSound, SteppedAudit } from '../audit/audit.ts'
import type { DriverWorld } from '../driver-kit/world.ts'
import { drawOperations, type Operation } from './operation.ts'
import { RandomHost } from './random-host.ts'
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
interface Failure {
  readonly step: number
  readonly why: string
  readonly log: readonly string[]
}

/**
 * Runs it.
 * @throws Error that names the seed, the step, what differs, and the shortest list of operations found that fails too
 */
export function runRandom(run: RandomRun): void {
  const operations = drawOperations(run.seed, run.steps)
  const failure = attempt(run, operations)
  if (!failure) return
  const prefix = operations.slice(0, failure.step + 1)
  const shortest = shrink(prefix, (shorter) => attempt(run, shorter) !== undefined)
  const { log, why } = attempt(run, shortest) ?? failure
  throw new Error(
    [
      `random operations, seed ${run.seed}, step ${failure.step} of ${run.steps}: ${failure.why}`,
      `${log.length} of them are enough for: ${why}`,
      ...log.map((line) => `  ${line}`),
    ].join('\n'),
  )
}

function attempt(run: RandomRun, operations: readonly Operation[]): Failure | undefined {
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
    return undefined
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
