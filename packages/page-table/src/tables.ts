/**
 * The tables of one page table in memory: how they are made, linked and counted. Their pages come from the allocator.
 *
 * Invariants, between calls: a table other than the root has at least one entry present (so an entry that points to a
 * table always means that something is mapped there), and `occupancy` holds, for each linked table, how many are.
 */
import { type Hpa, hpaHi, hpaLo } from '@ioasis/core'
import { Entries } from './entries.ts'
import { indexAt, type Layout, type Level } from './layout.ts'
import type { TableMemory, TablePages } from './table-memory.ts'

/** Told of a new root before anything is mapped that the old one does not reach; what hardware remembers of the old stays right. */
export type RootListener = (root: Hpa, topLevel: number) => void

/** The tables of one page table. */
export class Tables extends Entries {
  /** The top table and its level: `layout.topLevel` until it grows. */
  root: Hpa
  topLevel: number
  /** Entries present in each linked table, the root included. */
  readonly occupancy: Map<Hpa, number> = new Map()
  readonly #pages: TablePages
  readonly #rootChanged: RootListener | undefined
  readonly #path: Hpa[] = []
  /** Bits of an iova's words that the root does not reach: set in none that is mapped. */
  #beyondHi = 0
  #beyondLo = 0

  /** @throws UapiError ENOMEM */
  constructor(layout: Layout, memory: TableMemory, rootChanged?: RootListener) {
    super(layout, memory)
    this.topLevel = layout.topLevel
    this.#rootChanged = rootChanged
    this.#setReach()
    this.#pages = memory.pages
    this.root = this.alloc()
    this.occupancy.set(this.root, 0)
  }

  /** @returns a zeroed table, linked nowhere @throws UapiError ENOMEM */
  alloc(): Hpa {
    return this.#pages.alloc(this.layout.tableBytes, 'page table')
  }
  /** Several of them. @throws UapiError ENOMEM, with none taken */
  allocMany(count: number): Hpa[] {
    const tables: Hpa[] = []
    try {
      for (let i = 0; i < count; i++) tables.push(this.alloc())
    } catch (error) {
      for (const table of tables) this.free(table)
      throw error
    }
    return tables
  }
  /** Gives a table's page back. */
  free(table: Hpa): void {
    this.#pages.free(table, this.layout.tableBytes)
  }

  /** Whether the tables, as tall as they are now, have a place for an iova. */
  reaches(hi: number, lo: number): boolean {
    return ((hi & this.#beyondHi) | (lo & this.#beyondLo)) === 0
  }
  /**
   * Puts roots above the root until it is of `level` at least and reaches the iova, as drivers/iommu/generic_pt/iommu_pt.h
   * increase_top does: the old root is the new one's first entry, and hardware is told before anything is mapped there. A root
   * without an entry is not linked but freed, once hardware was told.
   * @throws UapiError ENOMEM; nothing has changed then
   * @throws Error when the tables may not grow so far
   */
  growTo(level: number, hi: number, lo: number): void {
    let top = Math.max(level, this.topLevel)
    while (top < this.layout.growsTo && !this.#reachesFrom(top, hi, lo)) top++
    if (top === this.topLevel) return
    if (top > this.layout.growsTo) throw new Error(`page-table: ${this.layout.name} does not grow to level ${top}`)
    const old = this.root
    const empty = this.occupancy.get(old) === 0
    // An empty table needs a new root only, whatever its level.
    const roots = this.allocMany(empty ? 1 : top - this.topLevel)
    roots.forEach((root, i) => {
      this.occupancy.set(root, empty ? 0 : 1)
      if (!empty) this.link(root, this.topLevel + 1 + i, 0, i === 0 ? old : (roots[i - 1] as Hpa))
    })
    this.root = roots.at(-1) as Hpa
    this.topLevel = top
    this.#setReach()
    this.#rootChanged?.(this.root, top)
    if (!empty) return
    this.occupancy.delete(old)
    this.free(old)
  }
  #reachesFrom(level: number, hi: number, lo: number): boolean {
    const { shift, indexMask } = this.layout.levels[level] as Level
    const bits = shift + 32 - Math.clz32(indexMask)
    return bits >= 64 || (bits >= 32 ? hi >>> (bits - 32) : hi | (lo >>> bits)) === 0
  }
  #setReach(): void {
    const { shift, indexMask } = this.layout.levels[this.topLevel] as Level
    const bits = shift + 32 - Math.clz32(indexMask)
    this.#beyondHi = bits >= 64 ? 0 : bits > 32 ? -1 << (bits - 32) : -1
    this.#beyondLo = bits >= 32 ? 0 : -1 << bits
  }

  /**
   * The table of `level` that covers an iova, with the tables above it made if need be. The caller puts a page into it
   * at once; were it to refuse, an empty table would stay behind, so it finds out first (a new table cannot refuse).
   * @returns undefined when a larger page stands in the way; nothing has changed then
   * @throws UapiError ENOMEM; nothing has changed then
   */
  make(level: number, hi: number, lo: number): Hpa | undefined {
    let table = this.root
    for (let l = this.topLevel; l > level; l--) {
      const at = this.layout.levels[l] as Level
      const index = indexAt(at, hi, lo)
      this.load(table, index)
      if (!this.present) return this.#descend(table, l, level, hi, lo)
      if (!this.isTable(at)) return undefined
      table = this.tableAddress
    }
    return table
  }
  /** Makes the tables below an absent entry of level `from`: first all pages, which may fail, then all links, which cannot. */
  #descend(parent: Hpa, from: number, level: number, hi: number, lo: number): Hpa {
    const path = this.#path
    path.length = 0
    try {
      for (let l = from; l > level; l--) path.push(this.alloc())
    } catch (error) {
      for (const table of path) this.free(table)
      throw error
    }
    let table = parent
    for (let l = from; l > level; l--) {
      const child = path[from - l] as Hpa
      this.occupancy.set(child, 0)
      this.link(table, l, indexAt(this.layout.levels[l] as Level, hi, lo), child)
      this.adjust(table, 1)
      table = child
    }
    return table
  }
  /** Lets an entry of level `level` point to `child`. The mark of a flushed entry is the CPU's affair and stays in its cache. */
  link(table: Hpa, level: number, index: number, child: Hpa): void {
    const { tableLo, tableHi } = this.layout.levels[level] as Level
    const lo = tableLo | hpaLo(child)
    const hi = tableHi | hpaHi(child)
    this.store(table, index, lo, hi)
    if (!this.flushWrites) return
    this.flush(table, index, index)
    const { flushedLo, flushedHi } = this.layout
    if (flushedLo | flushedHi) this.store(table, index, lo | flushedLo, hi | flushedHi)
  }
  /** Counts entries that came to be present (or, negative, absent). @returns how many are now */
  adjust(table: Hpa, by: number): number {
    const count = (this.occupancy.get(table) as number) + by
    this.occupancy.set(table, count)
    return count
  }
}
