/** A page table that a driver keeps for one domain: ranges are mapped, unmapped and read back, in any format. */
import {
  type FlushGather,
  flushGather,
  hex,
  hiWord,
  type Hpa,
  type Iova,
  type IovaRange,
  loWord,
  type PageRuns,
  type Prot,
  split,
  UapiError,
} from '@ioasis/core'
import type { Cursor } from './cursor.ts'
import type { PageTableFormat, PageTableGeometry } from './format.ts'
import { type DirtySink, scanDirty } from './dirty.ts'
import { layoutOf, type Level } from './layout.ts'
import { type LeafVisitor, lookup, visitLeaves } from './lookup.ts'
import { type LeafBits, mapRuns } from './map.ts'
import { splitAt } from './split.ts'
import type { TableMemory } from './table-memory.ts'
import { type RootListener, Tables } from './tables.ts'
import { clearBottom, clearRange } from './unmap.ts'

/**
 * One page table. The driver puts `root` where its hardware looks, and flushes what a gather names before it calls
 * `release`. Nothing here flushes the unit's caches, and mapping asks for no flush: a unit that caches absent entries
 * (VT-d caching mode) is the driver's affair.
 */
export class PageTable {
  readonly format: PageTableFormat
  /** What the table can hold. */
  readonly aperture: IovaRange
  /** Bit n set: pages of 2^n bytes are used. u64. */
  readonly pageSizes: bigint
  readonly #tables: Tables

  /**
   * Makes an empty table: one page.
   * @param rootChanged for a geometry that grows: called with the new root before anything is mapped that the old one does not
   * reach. What walks remember stays right, but hardware must start from the new root when it returns: the old one may be freed
   * @throws RangeError when the format has no such geometry
   * @throws UapiError ENOMEM
   */
  constructor(format: PageTableFormat, geometry: PageTableGeometry, memory: TableMemory, rootChanged?: RootListener) {
    const layout = layoutOf(format, geometry)
    this.#tables = new Tables(layout, memory, rootChanged)
    this.format = format
    this.aperture = { first: 0n, last: (1n << BigInt(layout.iovaBits)) - 1n }
    this.pageSizes = layout.sizes.reduce((all, size) => all | (1n << BigInt(size.shift)), 0n)
  }

  /** Where the top table lies. */
  get root(): Hpa {
    return this.#tables.root
  }
  /** Level of the top table: 3 for four levels. */
  get topLevel(): number {
    return this.#tables.topLevel
  }
  /** Table pages that are linked, the root included. */
  get tablePages(): number {
    return this.#tables.occupancy.size
  }

  /**
   * Maps runs of contiguous host memory one after the other from `iova` on, all or nothing.
   * @param iova multiple of the smallest page, as are the runs' hpa and bytes
   * @param attributes further bits of each leaf, e.g. SNP of VT-d: a number for bits 31:0, a bigint for others
   * @returns bytes mapped
   * @throws UapiError EADDRINUSE when part of the range is mapped, ENOMEM, EINVAL for no permission; nothing has changed then,
   * but a table that grew stays so
   * @throws Error when the range is not aligned, or beyond the aperture or what an entry can address
   */
  map(iova: Iova, runs: PageRuns, prot: Prot, attributes: number | bigint = 0): number {
    if (!prot.read && !prot.write) throw new UapiError('EINVAL', 'map', { iova })
    const bits = this.#leafBits(prot, attributes)
    const bytes = this.#bytesOf(runs)
    if (bytes === 0) return 0
    const t = this.#tables
    this.#check(iova, iova + BigInt(bytes) - 1n)
    if (!t.reaches(hiWord(), loWord())) t.growTo(0, hiWord(), loWord())
    split(iova)
    const first = { hi: hiWord(), lo: loWord() }
    const at: Cursor = { hi: first.hi, lo: first.lo, run: 0, done: 0 }
    let mapped = false
    try {
      mapped = mapRuns(t, at, runs, bits)
    } finally {
      if (!mapped) this.#undo(first.hi, first.lo, at)
    }
    if (!mapped) throw new UapiError('EADDRINUSE', 'map', { iova })
    return bytes
  }

  /**
   * Unmaps a range. Absent parts are skipped, pages cut by its ends are split.
   * @param iova multiple of the smallest page, as is `bytes`
   * @param gather grows by what was removed
   * @returns bytes that were mapped
   * @throws UapiError ENOMEM when a split needs a table; all is still mapped then
   */
  unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    if (bytes === 0n) return 0n
    this.#check(iova, iova + bytes - 1n)
    const t = this.#tables
    const last = this.#reached(iova + bytes - 1n)
    if (last < iova) return 0n
    split(iova)
    const firstHi = hiWord()
    const firstLo = loWord()
    split(last)
    const lastHi = hiWord()
    const lastLo = loWord()
    const bottom = splitAt(t, firstHi, firstLo)
    const inOneTable = firstHi === lastHi && (firstLo ^ lastLo) >>> t.layout.bottomShift === 0
    if (bottom === undefined || !inOneTable) {
      split(last + 1n)
      const endHi = hiWord()
      const endLo = loWord()
      if (t.reaches(endHi, endLo)) splitAt(t, endHi, endLo)
    }
    const removed =
      bottom !== undefined && inOneTable
        ? clearBottom(t, bottom, firstHi, firstLo, lastHi, lastLo, gather)
        : clearRange(t, t.root, t.topLevel, firstHi, firstLo, lastHi, lastLo, gather)
    if (removed === 0) return 0n
    if (iova < gather.first) gather.first = iova
    if (last > gather.last) gather.last = last
    return BigInt(removed)
  }

  /** Frees the tables that a gather names. No unit may reach them any more: flush first. */
  release(gather: FlushGather): void {
    for (const table of gather.tables.splice(0)) this.#tables.free(table)
  }

  /** Where an access to `iova` would land, as the CPU reads the tables; undefined: nowhere. */
  lookup(iova: Iova): Hpa | undefined {
    if (iova > this.aperture.last || iova < 0n) return undefined
    split(iova)
    return lookup(this.#tables, hiWord(), loWord())
  }

  /**
   * Calls `visit` for each page, lowest iova first. For the audit: it reads every entry.
   * @param near leaves out tables that lie beside this range
   */
  leaves(visit: LeafVisitor, near?: IovaRange): void {
    visitLeaves(this.#tables, this.root, this.#tables.topLevel, 0, 0, visit, near)
  }

  /**
   * Tells of the pages that hardware marked as written, lowest first; pages behind each other may be told together.
   * @param range parts of pages count
   * @param clearing marks are taken away: flush what is added here, so that the next write sets them again. Absent: they stay
   * @throws Error when the format has no such mark
   */
  readDirty({ first, last }: IovaRange, sink: DirtySink, clearing?: FlushGather): void {
    const t = this.#tables
    if (!this.format.dirty) throw new Error(`page-table: ${this.format.name} does not tell dirty pages`)
    const end = this.#reached(last)
    if (end < first) return
    scanDirty(t, t.root, t.topLevel, 0n, first, end, { sink, ...(clearing && { clearing }) })
  }

  /** Frees all tables, the root included. The hardware must have stopped using them; the table is of no use afterwards. */
  free(): void {
    for (const table of this.#tables.occupancy.keys()) this.#tables.free(table)
    this.#tables.occupancy.clear()
  }

  #leafBits(prot: Prot, attributes: number | bigint): LeafBits {
    const { always, read, write } = this.format.permissions
    split(always | (prot.read ? read : 0n) | (prot.write ? write : 0n))
    const hi = hiWord()
    const lo = loWord()
    if (typeof attributes === 'number') return { hi, lo: lo | attributes }
    split(attributes)
    return { hi: hi | hiWord(), lo: lo | loWord() }
  }

  /**
   * Bytes of all runs, which must be whole pages that an entry can address. The loop works on int32: runs of one page are
   * counted, and of addresses it only gathers the bits, because the end of what an entry addresses is a power of two. Adding
   * and comparing doubles one after the other would take as long as writing the entries.
   */
  #bytesOf(runs: PageRuns): number {
    const { granule, hpaEnd } = this.#tables.layout
    const { count, hpa, bytes } = runs
    let pages = 0
    let longer = 0
    let low = 0
    let high = 0
    for (let i = 0; i < count; i = (i + 1) | 0) {
      const first = hpa[i] as number
      low |= first
      high |= first / 0x1_0000_0000
      if (bytes[i] === granule) pages = (pages + 1) | 0
      else {
        const length = bytes[i] as number
        longer += length
        low |= length
        high |= (first + length - 1) / 0x1_0000_0000
      }
    }
    if ((low & (granule - 1)) !== 0 || (high >>> 0) * 0x1_0000_0000 >= hpaEnd) {
      throw new Error(`page-table: a run is not whole pages of ${hex(granule)} below ${hex(hpaEnd)}`)
    }
    return longer + pages * granule
  }
  /** As far as the tables reach now: beyond, nothing is mapped. */
  #reached(last: Iova): Iova {
    const { shift, entries } = this.#tables.layout.levels[this.#tables.topLevel] as Level
    const end = (BigInt(entries) << BigInt(shift)) - 1n
    return last < end ? last : end
  }
  /** Leaves the words of `last` in `hiWord` and `loWord`. */
  #check(iova: Iova, last: Iova): void {
    const mask = this.#tables.layout.granule - 1
    split(iova)
    const low = loWord()
    split(last)
    if (iova >= 0n && last >= iova && last <= this.aperture.last && ((low | (loWord() + 1)) & mask) === 0) return
    throw new Error(`page-table: ${hex(iova)}..${hex(last)} is not whole pages up to ${hex(this.aperture.last)}`)
  }

  /** Takes back what a map call wrote before it failed. No flush: nothing could translate in between. */
  #undo(firstHi: number, firstLo: number, at: Cursor): void {
    if (at.hi === firstHi && at.lo === firstLo) return
    const t = this.#tables
    const last: Cursor = { ...at }
    last.lo = (at.lo - 1) | 0
    if (at.lo === 0) last.hi = (at.hi - 1) | 0
    const gather = flushGather()
    clearRange(t, t.root, t.topLevel, firstHi, firstLo, last.hi, last.lo, gather)
    this.release(gather)
  }
}
