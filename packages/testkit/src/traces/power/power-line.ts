/** One line of a script of a POWER machine: `[@child] op key=value ...`. */
import { TraceError } from '../trace-file.ts'
import type { PowerProcess } from './power-process.ts'

/** A line while it runs: its operation fills `in` and `out`. */
export class PowerLine {
  readonly op: string
  readonly child: boolean
  readonly in: Record<string, unknown> = {}
  readonly out: Record<string, unknown> = {}
  readonly process: PowerProcess
  readonly #keys: ReadonlyMap<string, string>

  /** @throws TraceError for a word that is no `key=value` */
  constructor(src: string, process: PowerProcess) {
    const words = src.split(/\s+/).filter((word) => word !== '')
    this.child = words[0] === '@child'
    const [op, ...pairs] = this.child ? words.slice(1) : words
    if (op === undefined) throw new TraceError('an empty script line')
    this.op = op
    this.process = this.child ? process.fork() : process
    this.#keys = new Map(
      pairs.map((pair) => {
        const at = pair.indexOf('=')
        if (at < 1) throw new TraceError(`"${pair}" is no key=value`)
        return [pair.slice(0, at), pair.slice(at + 1)]
      }),
    )
  }
  has(key: string): boolean {
    return this.#keys.has(key)
  }
  /** The text of a key. @throws TraceError when it is missing and there is no default */
  text(key: string, standard?: string): string {
    const found = this.#keys.get(key) ?? standard
    if (found === undefined) throw new TraceError(`${this.op}: "${key}" is missing`)
    return found
  }
  number(key: string, standard?: string): bigint {
    return this.process.values.number(this.text(key, standard))
  }
  count(key: string, standard?: string): number {
    return Number(this.number(key, standard))
  }
  /** The descriptor of a key; it is printed by its name. */
  fd(key = 'fd'): number {
    const name = this.text(key)
    this.in[key] = name
    return this.process.values.fd(name)
  }
  /** The alias of a device; printed. */
  device(): string {
    const alias = this.text('dev')
    this.in['dev'] = alias
    return alias
  }
  /** Names what the line made: a descriptor. */
  names(fd: number): void {
    const name = this.text('as', '')
    if (name !== '') this.process.values.bind(name, fd)
  }
  /** The struct is at an address where nothing is. */
  get bad(): boolean {
    return this.text('ptr', '') === 'bad'
  }
}

/** Runs a line. @returns the result; a refusal is thrown as `UapiError` */
export type RunPowerLine = (line: PowerLine) => number | void
