/** Memory that a driver shares with its unit: pages, stores, and the CLFLUSH a unit without coherent walks needs. */
import type { Cpu, Hpa, PageAllocator } from '@ioasis/core'

/**
 * Root, context and page tables are written through here. Nothing may stand in a CPU's cache alone when the unit does not
 * snoop it: Intel VT-d r4.1 "11.4.3 Extended Capability Register", C.
 */
export class UnitMemory {
  readonly cpu: Cpu
  readonly pages: PageAllocator
  /** ECAP.C is 0. */
  readonly flushWrites: boolean
  readonly #entry = new Uint8Array(16)
  readonly #words: Int32Array = new Int32Array(this.#entry.buffer)

  constructor(cpu: Cpu, pages: PageAllocator, flushWrites: boolean) {
    this.cpu = cpu
    this.pages = pages
    this.flushWrites = flushWrites
  }

  /** Takes a zeroed page for a table. @throws UapiError ENOMEM */
  table(what: string): Hpa {
    const hpa = this.pages.alloc(4096, what)
    if (this.flushWrites) this.cpu.clflush(hpa, 4096)
    return hpa
  }
  /** Stores an aligned 64-bit entry. */
  store64(hpa: Hpa, lo: number, hi: number): void {
    this.cpu.storeWords(hpa, lo, hi)
    if (this.flushWrites) this.cpu.clflush(hpa, 8)
  }
  /** Stores an aligned 128-bit entry in one piece, as CMPXCHG16B does: a walk sees the old or the new one. */
  store128(hpa: Hpa, words: EntryWords): void {
    this.#words.set(words)
    this.cpu.write(hpa, this.#entry)
    if (this.flushWrites) this.cpu.clflush(hpa, 16)
  }
  /** Reads a 128-bit entry. */
  load128(hpa: Hpa): EntryWords {
    this.cpu.read(hpa, this.#entry)
    return [this.#words[0] as number, this.#words[1] as number, this.#words[2] as number, this.#words[3] as number]
  }
}

/** A 128-bit entry as four int32 words, the lowest first. */
export type EntryWords = readonly [number, number, number, number]
