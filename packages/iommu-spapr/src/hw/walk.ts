/**
 * The walk of a TCE table. Every level of a window has the same number of entries; entries are big-endian and read with the
 * CPUs' caches asked, as POWER bridges do. An entry of a higher level without either bit ends it; so does a last one that
 * lacks the bits asked for. Bits above the table are the caller's affair. skiboot "TVT", QEMU pnv_phb4_translate_tve.
 */
import { type DmaRequest, type HostMemory, hpaOf } from '@ioasis/core'
import { REASON } from '../spec/fault-reason.ts'
import type { WindowTable } from './tvt.ts'

/** Where a walk came by, for people. */
export interface WalkedEntry {
  readonly level: number
  readonly index: number
  readonly hpa: number
  readonly hi: number
  readonly lo: number
}

/** The walker of one bridge; the last answer stays in its fields. */
export class TceWalk {
  tceHi = 0
  tceLo = 0
  readonly #memory: HostMemory
  readonly #words: HostMemory['words']
  readonly #windows: WindowTable
  #atHi = 0
  #atLo = 0

  constructor(memory: HostMemory, windows: WindowTable) {
    this.#memory = memory
    this.#words = memory.words
    this.#windows = windows
  }

  /** @param window a translated one @param passed told of each entry read @returns 0 with the entry in the fields, or a reason */
  walk(window: number, request: DmaRequest, passed?: (entry: WalkedEntry) => void): number {
    const { words: of } = this.#windows
    const at = window << 3
    const bits = of[at + 4] as number
    const top = (of[at + 3] as number) - 1
    let shift = (of[at + 2] as number) + bits * top
    let lo = of[at + 5] as number
    let hi = of[at + 6] as number
    for (let level = top; ; level--, shift -= bits) {
      const index = indexAt(request.iovaHi, request.iovaLo, shift, bits)
      if (!this.#load(hi, lo, index)) return REASON.TABLE_UNREADABLE
      passed?.({ level, index, hpa: hpaOf(this.#atHi, this.#atLo), hi: this.tceHi, lo: this.tceLo })
      hi = this.tceHi & 0xf_ffff
      lo = this.tceLo
      if (level === 0) break
      if ((lo & 3) === 0) return REASON.NO_TABLE
      lo &= ~0xfff
    }
    const allowed = lo & 3
    const { access } = request
    if ((allowed & access) === access) return 0
    if (allowed === 0) return REASON.NOT_PRESENT
    return (access & ~allowed & 2) !== 0 ? REASON.WRITE : REASON.READ
  }

  /** Reads entry `index` of a table, which is aligned to its size: the index takes the place of low address bits. */
  #load(hi: number, lo: number, index: number): boolean {
    if (index > 0x3ff_ffff) return false
    const at = lo | (index << 3)
    this.#atHi = hi
    this.#atLo = at
    // `chunkIndex` and `CHUNK_MASK`, as literals.
    const chunk = hi >>> 17 === 0 ? (hi << 14) | (at >>> 18) : 0x7fff_ffff
    const words = this.#words
    const table = chunk < words.length ? words[chunk] : undefined
    if (table !== undefined) {
      const word = (at & 0x3_ffff) >>> 2
      this.tceHi = swap(table[word] as number)
      this.tceLo = swap(table[word + 1] as number)
      return true
    }
    const memory = this.#memory
    if (!memory.loadEntry(hi, at, true)) return false
    this.tceHi = swap(memory.entryLo)
    this.tceLo = swap(memory.entryHi)
    return true
  }
}

/** As `swap32`: a function of this module is inlined. */
const swap = (word: number): number => (word >>> 24) | ((word >>> 8) & 0xff00) | ((word & 0xff00) << 8) | (word << 24)

/** Bits [shift, shift + bits) of an address, as a number; `bits` at most 39. */
export function indexAt(hi: number, lo: number, shift: number, bits: number): number {
  if (bits > 31) return Math.floor(((hi >>> 0) * 0x1_0000_0000 + (lo >>> 0)) / 2 ** shift) % 2 ** bits
  const word =
    shift === 0 ? lo : shift < 32 ? (lo >>> shift) | (hi << (32 - shift)) : shift < 64 ? hi >>> (shift - 32) : 0
  return word & ((1 << bits) - 1)
}
