/** Random numbers that come again: every seeded test of this repository draws from here. */

/** A stream of numbers that its seed determines (mulberry32, Tommy Ettinger, public domain). */
export class RandomSource {
  #state: number

  /** @param seed any integer; two streams of one seed are equal */
  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** The next number, 0 to 2^32-1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
  /** An integer from 0 to `n - 1`. @param n 1 to 2^32 */
  below(n: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * n)
  }
  /** One of the list. @throws RangeError when it is empty */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('random: nothing to pick from')
    return list[this.below(list.length)] as T
  }
  /** True `n` times in `of`. */
  chance(n: number, of: number): boolean {
    return this.below(of) < n
  }
}
