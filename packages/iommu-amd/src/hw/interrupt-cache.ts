/** The cache of interrupt remapping entries: each one used, until a command names its function. */
import type { Bdf } from '@ioasis/core'

/** Indexes per function. */
const INDEXES = 2048

/** The interrupt entries of one unit: four 32-bit words each, of which a 32-bit entry takes one. */
export class InterruptCache {
  readonly #entries = new Map<number, Int32Array>()

  find(requester: Bdf, index: number): Int32Array | undefined {
    return this.#entries.get(requester * INDEXES + index)
  }
  put(requester: Bdf, index: number, entry: Int32Array): void {
    this.#entries.set(requester * INDEXES + index, entry.slice())
  }
  dropDevice(requester: Bdf): void {
    for (const key of this.#entries.keys()) if (Math.floor(key / INDEXES) === requester) this.#entries.delete(key)
  }
  dropAll(): void {
    this.#entries.clear()
  }
  /** Entries held: for tests. */
  get size(): number {
    return this.#entries.size
  }
}
