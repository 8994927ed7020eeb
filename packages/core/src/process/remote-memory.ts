/** RAM that lives elsewhere: it is reached by copying, shows no views, and may fail at a byte. */
import type { MemoryBacking } from '../memory/backing.ts'

/** Memory of another process or machine, kept in an array; `HostMemory.addBacking` gives it a place. */
export class RemoteMemory implements MemoryBacking {
  readonly bytes: Uint8Array
  /** The first byte that does not answer; undefined: all do. */
  failAt: number | undefined

  /** @param size bytes */
  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }
  read(offset: number, into: Uint8Array): number {
    const n = this.#reach(offset, into.length)
    into.set(this.bytes.subarray(offset, offset + n))
    return n
  }
  write(offset: number, from: Uint8Array): number {
    const n = this.#reach(offset, from.length)
    this.bytes.set(from.subarray(0, n), offset)
    return n
  }
  #reach(offset: number, length: number): number {
    return Math.max(0, Math.min(length, (this.failAt ?? this.bytes.length) - offset))
  }
}
