/** Reads recorded traces: JSON lines of steps, each with the script line that made it, and the pauses between them. */

/** One recorded step: `src` is the program, the rest what a real kernel did with it. */
export interface TraceStep {
  readonly kind: 'step'
  /** Counts from 1. */
  readonly step: number
  readonly op: string
  /** What was handed to the kernel. */
  readonly in: Fields
  /** The system call's result; `fd` where it is a new descriptor. */
  readonly ret: number | string
  /** Name of the error; null: none. */
  readonly errno: string | null
  /** What the kernel wrote. */
  readonly out: Fields
  /** A load or store that was killed, `SIGBUS`; null: it was not. Absent for other operations. */
  readonly signal?: string | null
  readonly src: string
}

/** Values by name, as they stand in the file. */
export type Fields = Readonly<Record<string, unknown>>

/** A pause: virtual time that passes. */
export interface TracePause {
  readonly kind: 'pause'
  /** Milliseconds. */
  readonly ms: number
}

/** One scenario on one machine. */
export interface TraceScenario {
  /** `iommufd-map/fixed-basic`. */
  readonly scenario: string
  readonly title: string
  /** `intel-sc.type1`: machine and kernel. */
  readonly machine: string
  /** Which language its script lines are in; absent: that of the x86 machines. */
  readonly dialect?: 'power'
  readonly lines: readonly (TraceStep | TracePause)[]
}

/** A trace that cannot be read or played: names the scenario, the line and the rule. */
export class TraceError extends Error {
  override readonly name = 'TraceError'
}

/**
 * Reads one trace, or several in a row.
 * @param text JSON lines
 * @param source for messages: the file's name
 * @throws TraceError for a line that does not fit, a missing end, or a count that is wrong
 */
export function readTraces(text: string, source: string): readonly TraceScenario[] {
  const found: TraceScenario[] = []
  let reader: ScenarioReader | undefined
  text.split('\n').forEach((line, i) => {
    if (line.trim() === '') return
    const where = `${source}:${i + 1}`
    const value = parse(line, where)
    if (typeof value['scenario'] === 'string') {
      reader?.finish(where)
      reader = new ScenarioReader(value, where)
      return
    }
    if (!reader) throw new TraceError(`${where}: a trace begins with its scenario`)
    const done = reader.take(value, where)
    if (done) found.push(done)
  })
  reader?.finish(source)
  if (found.length === 0) throw new TraceError(`${source}: no scenario`)
  return found
}

function parse(line: string, where: string): Fields {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  } catch {
    // told below
  }
  throw new TraceError(`${where}: not an object in JSON: ${line.slice(0, 60)}`)
}

class ScenarioReader {
  readonly #head: Fields
  readonly #lines: (TraceStep | TracePause)[] = []
  #steps = 0
  #ended = false

  constructor(head: Fields, where: string) {
    this.#head = head
    for (const key of ['scenario', 'title', 'machine']) {
      if (typeof head[key] !== 'string') throw new TraceError(`${where}: "${key}" is missing`)
    }
  }
  /** @returns the scenario when the line is its end */
  take(value: Fields, where: string): TraceScenario | undefined {
    // Kernel log lines follow the end: informative. Notes are comments.
    if (value['kmsg'] !== undefined || value['note'] !== undefined) return undefined
    if (this.#ended) throw new TraceError(`${where}: a line after the end`)
    if (value['sleep_ms'] !== undefined) this.#lines.push({ kind: 'pause', ms: milliseconds(value['sleep_ms'], where) })
    else if (value['step'] !== undefined) this.#lines.push(this.#step(value, where))
    else if (value['end'] === true) return this.#end(value, where)
    else throw new TraceError(`${where}: neither step, pause, note nor end`)
    return undefined
  }
  finish(where: string): void {
    if (!this.#ended) throw new TraceError(`${where}: ${String(this.#head['scenario'])} has no end`)
  }
  #step(value: Fields, where: string): TraceStep {
    const step = readStep(value, where)
    if (step.step !== ++this.#steps) throw new TraceError(`${where}: step ${step.step} where ${this.#steps} is next`)
    return step
  }
  #end(value: Fields, where: string): TraceScenario {
    this.#ended = true
    if (value['steps'] !== this.#steps) {
      throw new TraceError(`${where}: the end counts ${String(value['steps'])} steps, there are ${this.#steps}`)
    }
    const text = (key: string): string => String(this.#head[key])
    return { scenario: text('scenario'), title: text('title'), machine: text('machine'), lines: this.#lines }
  }
}

function milliseconds(value: unknown, where: string): number {
  if (typeof value === 'number' && value >= 0) return value
  throw new TraceError(`${where}: a pause of ${JSON.stringify(value)} ms`)
}

function readStep(value: Fields, where: string): TraceStep {
  const { step, op, ret, errno, src, signal } = value
  const plain = (key: string): Fields => {
    const fields = value[key]
    if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) return fields as Fields
    throw new TraceError(`${where}: "${key}" is no object`)
  }
  if (typeof step !== 'number' || typeof op !== 'string' || typeof src !== 'string') {
    throw new TraceError(`${where}: a step has a number, an operation and its script line`)
  }
  if (typeof ret !== 'number' && typeof ret !== 'string') throw new TraceError(`${where}: "ret" is missing`)
  if (typeof errno !== 'string' && errno !== null) throw new TraceError(`${where}: "errno" is missing`)
  const rest = { kind: 'step', step, op, in: plain('in'), ret, errno, out: plain('out'), src } as const
  return signal === undefined ? rest : { ...rest, signal: signal as string | null }
}
