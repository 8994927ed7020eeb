/** What names stand for while a scenario runs: descriptors, variables, buffers. And how values are written with them. */
import { SYMBOLS } from './symbols.ts'
import { TraceError } from './trace-file.ts'

/** What an undefined `$var` stands for: no id, no address, so that the step is refused as it was. */
export const UNDEFINED_VARIABLE = 0x7fff_fff0n

/** A value with the way a trace prints it, where that is not a number. */
export interface Value {
  readonly number: bigint
  /** `@name`, `&name+off`; undefined: a number. */
  readonly shown: string | undefined
}

/** The names of one process. */
export class Names {
  readonly #descriptors = new Map<string, number>()
  readonly #variables = new Map<string, bigint>()
  readonly #buffers = new Map<string, bigint>()

  /** The descriptor of `@name`, or -1 when nothing was opened by that name or it was closed. */
  fd(name: string): number {
    return this.#descriptors.get(name) ?? -1
  }
  bindFd(name: string, fd: number): void {
    this.#descriptors.set(name, fd)
  }
  unbindFd(name: string): void {
    this.#descriptors.delete(name)
  }
  bindVariable(name: string, value: bigint): void {
    this.#variables.set(name, value)
  }
  bindBuffer(name: string, uva: bigint): void {
    this.#buffers.set(name, uva)
  }
  /**
   * `4k`, `0x10`, `$a`, `@iommu`, `&buf+0x1000`, `FIXED|RW`, `-1`, `~0`.
   * @throws TraceError for a name that is nowhere
   */
  value(text: string): Value {
    return { number: this.#sum(text), shown: /^[@&]/.test(text) ? text : undefined }
  }
  number(text: string): bigint {
    return this.#sum(text)
  }
  /** A number that fits a double: sizes and offsets. */
  count(text: string | undefined, what: string): number {
    if (text === undefined) throw new TraceError(`${what} is missing`)
    return Number(this.#sum(text))
  }

  #sum(text: string): bigint {
    return text
      .split('|')
      .map((part) => part.split('+').reduce((sum, term) => sum + this.#term(term), 0n))
      .reduce((all, part) => all | part, 0n)
  }
  #term(text: string): bigint {
    const rest = text.slice(1)
    switch (text[0] ?? '') {
      case '-':
        return -this.#term(rest)
      case '~':
        return ~this.#term(rest)
      case '$':
        return this.#variables.get(rest) ?? UNDEFINED_VARIABLE
      case '@':
        return BigInt(this.fd(rest))
      case '&':
        return this.#buffer(rest)
      default:
        return literal(text) ?? this.#symbol(text)
    }
  }
  #buffer(name: string): bigint {
    const uva = this.#buffers.get(name)
    // A mapping that was refused leaves its name free: the script goes on with an address where nothing is.
    return uva ?? 0n
  }
  #symbol(text: string): bigint {
    const known = Object.hasOwn(SYMBOLS, text) ? SYMBOLS[text] : undefined
    if (known === undefined) throw new TraceError(`"${text}" is no number and no known name`)
    return known
  }
}

const UNITS: Readonly<Record<string, bigint>> = { '': 1n, k: 1n << 10n, m: 1n << 20n, g: 1n << 30n }

/** `4096`, `0x1000`, `64k`, `1M`; undefined: no number. */
function literal(text: string): bigint | undefined {
  const found = /^(0x[0-9a-f]+|[0-9]+)([kmg]?)$/i.exec(text)
  if (!found) return undefined
  return BigInt(found[1] as string) * (UNITS[(found[2] as string).toLowerCase()] as bigint)
}
