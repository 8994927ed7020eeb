/** What names stand for in scripts of POWER machines, and how expressions are read: `m+PAGE*4`, `0x10000`, `64K`. */

const SUFFIXES: Readonly<Record<string, bigint>> = { K: 1n << 10n, M: 1n << 20n, G: 1n << 30n, T: 1n << 40n }

/** Names of one scenario. */
export class PowerValues {
  readonly #values = new Map<string, bigint>()
  readonly #descriptors = new Map<string, number>()

  /** @param page bytes of one page: what `PAGE` stands for */
  constructor(page: number) {
    this.#values.set('PAGE', BigInt(page))
  }
  set(name: string, value: bigint): void {
    this.#values.set(name, value)
  }
  bind(name: string, fd: number): void {
    this.#descriptors.set(name, fd)
  }
  /** A name, or a raw number. A name that nothing was opened by is no descriptor. */
  fd(text: string): number {
    return this.#descriptors.get(text) ?? (/^\d+$/.test(text) ? Number(text) : -1)
  }
  /** The value of sums of products: no name contains an operator. */
  number(text: string): bigint {
    let sum = 0n
    for (const [, sign, term] of text.matchAll(/([+-]?)([^+-]+)/g)) {
      const value = this.#product(term as string)
      sum += sign === '-' ? -value : value
    }
    return sum
  }

  /** A name that is undefined because an earlier step failed stands for 0, as the recorded harness has it. */
  #product(text: string): bigint {
    return text.split('*').reduce((all, factor) => all * (literal(factor) ?? this.#values.get(factor) ?? 0n), 1n)
  }
}

function literal(text: string): bigint | undefined {
  const found = /^(0x[\da-f]+|\d+)([KMGT]?)$/i.exec(text)
  return found ? BigInt(found[1] as string) * (SUFFIXES[(found[2] as string).toUpperCase()] ?? 1n) : undefined
}
