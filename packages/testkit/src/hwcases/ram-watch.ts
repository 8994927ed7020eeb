/**
 * Finds what changed in RAM by comparing all of it with a copy. Only chunks that were ever touched can differ, so 64 MiB
 * cost what their touched part costs: well below a millisecond.
 */
import { CHUNK_BYTES, CHUNK_SHIFT, type HostMemory, join } from '@ioasis/core'

/** An aligned 64-bit word of RAM that changed. */
export interface RamChange {
  readonly hpa: number
  readonly before: bigint
  readonly after: bigint
}

/** Watches the RAM at [0, ramBytes). */
export class RamWatch {
  readonly #memory: HostMemory
  readonly #chunks: number
  readonly #copies: (Int32Array | undefined)[] = []

  /** @param memory one that gives out views, so that every touched chunk can be seen */
  constructor(memory: HostMemory, ramBytes: number) {
    this.#memory = memory
    this.#chunks = ramBytes >>> CHUNK_SHIFT
  }

  /** A store of software: part of the watched state, not a change of it. */
  write(hpa: number, from: Uint8Array): void {
    this.#memory.write(hpa, from)
    for (let i = hpa >>> CHUNK_SHIFT; i <= (hpa + from.length - 1) >>> CHUNK_SHIFT; i++) {
      const first = Math.max(hpa, i * CHUNK_BYTES)
      const part = from.subarray(first - hpa, (i + 1) * CHUNK_BYTES - hpa)
      if (i < this.#chunks) new Uint8Array(this.#copy(i).buffer).set(part, first - i * CHUNK_BYTES)
    }
  }

  /** Words that changed since the last call, in address order; their new values become the watched state. */
  changes(): RamChange[] {
    const changed: RamChange[] = []
    const { words } = this.#memory
    for (let i = 0; i < this.#chunks && i < words.length; i++) {
      const now = words[i]
      if (now) this.#compare(i * CHUNK_BYTES, this.#copy(i), now, changed)
    }
    return changed
  }

  #compare(base: number, then: Int32Array, now: Int32Array, changed: RamChange[]): void {
    for (let w = 0; w < now.length; w++) {
      if (now[w] === then[w]) continue
      const lo = w & ~1
      changed.push({
        hpa: base + lo * 4,
        before: join(then[lo + 1] as number, then[lo] as number),
        after: join(now[lo + 1] as number, now[lo] as number),
      })
      then[lo] = now[lo] as number
      then[lo + 1] = now[lo + 1] as number
      w = lo + 1
    }
  }

  #copy(index: number): Int32Array {
    while (this.#copies.length <= index) this.#copies.push(undefined)
    return (this.#copies[index] ??= new Int32Array(CHUNK_BYTES / 4))
  }
}
