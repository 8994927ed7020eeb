/** Index to host page, for objects of any size of which few pages exist. */
import type { Hpa } from '../address.ts'

/** Pages of a block, less one. A literal where each copy passes. */
const MASK = 511

/** Sparse array of host pages; 0 stands for none. */
export class PageIndex {
  readonly #blocks = new Map<number, Float64Array>()
  #lastKey = -1
  #last: Float64Array | undefined

  /** The page at `index`, 0 for none. */
  get(index: number): Hpa {
    const key = Math.floor(index / 512)
    const block = key === this.#lastKey ? this.#last : this.#block(key)
    return block ? (block[index & 511] as number) : 0
  }
  set(index: number, hpa: Hpa): void {
    const key = Math.floor(index / (MASK + 1))
    let block = this.#block(key)
    if (!block) {
      block = new Float64Array(MASK + 1)
      this.#blocks.set(key, block)
      this.#lastKey = key
      this.#last = block
    }
    block[index & MASK] = hpa
  }
  /** Calls `visit` for each page that exists in [first, first + count), in no particular order. `visit` may remove it. */
  each(visit: (index: number, hpa: Hpa) => void, first: number = 0, count: number = Infinity): void {
    for (const [key, block] of this.#blocks) {
      const base = key * (MASK + 1)
      if (base >= first + count || base + MASK < first) continue
      for (let i = Math.max(0, first - base); i <= MASK && base + i < first + count; i++) {
        const hpa = block[i] as number
        if (hpa !== 0) visit(base + i, hpa)
      }
    }
  }
  #block(key: number): Float64Array | undefined {
    const block = this.#blocks.get(key)
    if (block) {
      this.#lastKey = key
      this.#last = block
    }
    return block
  }
}
