/** Entries of tables in memory: loaded and stored through the CPU, and told what they are. */
import { CHUNK_BYTES, CHUNK_MASK, chunkIndex, type Cpu, type Hpa, hpaHi, hpaLo, hpaOf } from '@ioasis/core'
import { type Layout, type Level, swap32 } from './layout.ts'
import type { TableMemory } from './table-memory.ts'

/** The entries of one page table; the one that was loaded last is at hand. */
export class Entries {
  readonly layout: Layout
  /** Value of the entry that the last `load` read, in the specification's bit order. */
  lo = 0
  hi = 0
  protected readonly flushWrites: boolean
  readonly #cpu: Cpu

  constructor(layout: Layout, { cpu, flushWrites }: TableMemory) {
    this.layout = layout
    this.#cpu = cpu
    this.flushWrites = flushWrites
  }

  /** Raw view of the chunk that holds an address of a table; undefined: go through `load` and `store`. */
  view(at: Hpa): Int32Array | undefined {
    const chunk = chunkIndex(hpaHi(at), hpaLo(at))
    const words = this.#cpu.words
    return (chunk < words.length ? words[chunk] : undefined) ?? this.#cpu.chunkForWriting(chunk)
  }
  /** Where in its chunk's view an entry lies. */
  wordAt(table: Hpa, index: number): number {
    return ((hpaLo(table) + (index << 3)) & CHUNK_MASK) >>> 2
  }
  /** Last index, counted from `index` on, that lies in the same chunk; tables smaller than a chunk never cross one. */
  lastInView(table: Hpa, index: number, last: number): number {
    const room = (CHUNK_BYTES - ((hpaLo(table) + (index << 3)) & CHUNK_MASK)) >>> 3
    return last - index < room ? last : index + room - 1
  }

  /** Reads an entry into `lo` and `hi`. */
  load(table: Hpa, index: number): void {
    const at = hpaLo(table) + (index << 3)
    const chunk = chunkIndex(hpaHi(table), at)
    const words = this.#cpu.words
    const view = chunk < words.length ? words[chunk] : undefined
    let first: number
    let second: number
    if (view !== undefined) {
      const i = (at & CHUNK_MASK) >>> 2
      first = view[i] as number
      second = view[i + 1] as number
    } else {
      this.#cpu.loadWords(table + index * 8)
      first = this.#cpu.lo
      second = this.#cpu.hi
    }
    const swapped = this.layout.swapped
    this.lo = swapped ? swap32(second) : first
    this.hi = swapped ? swap32(first) : second
  }
  /** Writes an entry; nothing is flushed. */
  store(table: Hpa, index: number, lo: number, hi: number): void {
    const swapped = this.layout.swapped
    this.#cpu.storeWords(table + index * 8, swapped ? swap32(hi) : lo, swapped ? swap32(lo) : hi)
  }
  /** Makes entries [index, last] visible to hardware that does not snoop. */
  flush(table: Hpa, index: number, last: number): void {
    if (this.flushWrites) this.#cpu.clflush(table + index * 8, (last - index + 1) * 8)
  }

  /** Whether the loaded entry is present. */
  get present(): boolean {
    return ((this.lo & this.layout.presentLo) | (this.hi & this.layout.presentHi)) !== 0
  }
  /** Whether the loaded, present entry points to a table, at the level it was read from. */
  isTable(level: Level): boolean {
    return (
      level.hasTables &&
      ((this.lo ^ level.tableLo) & level.testedLo) === 0 &&
      ((this.hi ^ level.tableHi) & level.testedHi) === 0
    )
  }
  /** The table that the loaded entry points to. */
  get tableAddress(): Hpa {
    return hpaOf(this.hi & this.layout.addressHi, this.lo & this.layout.addressLo)
  }
  /** log2 of the bytes of the page that the loaded entry is (a part of). */
  pageShift(level: Level): number {
    const f = this.layout
    const coded =
      f.hasContiguous &&
      ((this.lo ^ f.contiguousLo) & f.contiguousTestedLo) === 0 &&
      ((this.hi ^ f.contiguousHi) & f.contiguousTestedHi) === 0
    return coded ? this.#codedShift() : level.shift
  }
  /** First byte of the page of 2^shift bytes that the loaded entry is (a part of). */
  pageAddress(shift: number): Hpa {
    const address = this.tableAddress
    return shift < 32
      ? hpaOf(hpaHi(address), hpaLo(address) & (-1 << shift))
      : hpaOf(hpaHi(address) & (-1 << (shift - 32)), 0)
  }
  /** The size is one bit above the lowest zero of the address field. */
  #codedShift(): number {
    const granuleShift = (this.layout.levels[0] as Level).shift
    const zerosLo = ~this.lo & (-1 << granuleShift)
    const bit = zerosLo & -zerosLo
    if (bit !== 0) return 32 - Math.clz32(bit)
    const zerosHi = ~this.hi & this.layout.addressHi
    return 64 - Math.clz32(zerosHi & -zerosHi)
  }
}
