/**
 * Finds the pages that hardware marked as written, and takes the marks away: drivers/iommu/generic_pt/iommu_pt.h
 * read_and_clear_dirty. One table at a time; pages behind each other are told as one range.
 */
import type { FlushGather, Hpa } from '@ioasis/core'
import type { Level } from './layout.ts'
import type { Tables } from './tables.ts'

/** Called for each range of dirty pages, lowest iova first. */
export type DirtySink = (iova: bigint, bytes: bigint) => void

/** One scan. */
export interface DirtyScan {
  readonly sink: DirtySink
  /** Marks are taken away, and what was cached of those pages must be flushed: what is to be is added here. Absent: they stay. */
  readonly clearing?: FlushGather
}

/**
 * Scans the entries of one table that lie in [first, last], and the tables below it. As Linux does it (record_dirty), the
 * length told of a page is that of its entries from the range's first iova on, and of a page of several entries the last one is
 * left out, though all of them lose their marks. Nothing is told beyond `last`.
 * @param base first iova of the table
 */
export function scanDirty(
  t: Tables,
  table: Hpa,
  depth: number,
  base: bigint,
  first: bigint,
  last: bigint,
  scan: DirtyScan,
): void {
  const level = t.layout.levels[depth] as Level
  const shift = BigInt(level.shift)
  const end = base + (BigInt(level.entries) << shift) - 1n
  const from = first > base ? Number((first - base) >> shift) : 0
  const to = last < end ? Number((last - base) >> shift) : level.entries - 1
  for (let i = from; i <= to;) {
    if (depth === 0) {
      i = scanLeaves(t, table, i, to, base, scan)
      if (i > to) return
    }
    t.load(table, i)
    const iova = base + (BigInt(i) << shift)
    if (t.present && t.isTable(level)) {
      scanDirty(t, t.tableAddress, depth - 1, iova, first, last, scan)
      i++
      continue
    }
    const entries = t.present ? 1 << (t.pageShift(level) - level.shift) : 1
    const start = i & -entries
    const next = start + entries
    if (t.present && takeMarks(t, table, start, entries, scan.clearing !== undefined)) {
      const told = entries === 1 ? 1 : Math.min(next - 1, to + 1) - i
      const at = iova < first ? first : iova
      const stop = at + (BigInt(told) << shift) - 1n
      if (told > 0) tell(scan, at, stop > last ? last : stop)
    }
    i = next
  }
}

/** Whether any entry of a page has the mark; hardware may set it in each of them. @param clear takes it away */
function takeMarks(t: Tables, table: Hpa, first: number, entries: number, clear: boolean): boolean {
  const { dirtyLo, dirtyHi } = t.layout
  let dirty = false
  for (let i = first; i < first + entries; i++) {
    t.load(table, i)
    if (((t.lo & dirtyLo) | (t.hi & dirtyHi)) === 0) continue
    dirty = true
    if (!clear) return true
    t.store(table, i, t.lo & ~dirtyLo, t.hi & ~dirtyHi)
  }
  if (dirty && clear) t.flush(table, first, first + entries - 1)
  return dirty
}

/**
 * The quick way through a table of smallest pages, up to one that takes several entries.
 * @returns the entry that it did not do: `from` where memory has no view
 */
function scanLeaves(t: Tables, table: Hpa, from: number, to: number, base: bigint, scan: DirtyScan): number {
  const { layout } = t
  const view = t.view(table + from * 8)
  if (view === undefined || t.lastInView(table, from, to) !== to || (layout.hasContiguous && layout.swapped))
    return from
  const { presentFirst, presentSecond, dirtyFirst, dirtySecond, contiguousLo, contiguousHi } = layout
  const { contiguousTestedLo, contiguousTestedHi, hasContiguous } = layout
  const clear = scan.clearing !== undefined
  let word = t.wordAt(table, from)
  let run = -1
  let i = from
  for (; i <= to; i = (i + 1) | 0, word = (word + 2) | 0) {
    const one = view[word] as number
    const two = view[word + 1] as number
    let marked = false
    if (((one & presentFirst) | (two & presentSecond)) !== 0) {
      const coded =
        hasContiguous &&
        ((one ^ contiguousLo) & contiguousTestedLo) === 0 &&
        ((two ^ contiguousHi) & contiguousTestedHi) === 0
      if (coded) break
      marked = ((one & dirtyFirst) | (two & dirtySecond)) !== 0
    }
    if (marked && clear) {
      view[word] = one & ~dirtyFirst
      view[word + 1] = two & ~dirtySecond
    }
    if (marked === run >= 0) continue
    if (!marked) tellRun(t, table, run, i, base, scan)
    run = marked ? i : -1
  }
  if (run >= 0) tellRun(t, table, run, i, base, scan)
  return i
}
/** Entries [run, end) are dirty pages behind each other. */
function tellRun(t: Tables, table: Hpa, run: number, end: number, base: bigint, scan: DirtyScan): void {
  const { bytes } = t.layout.levels[0] as Level
  if (scan.clearing) t.flush(table, run, end - 1)
  tell(scan, base + BigInt(run * bytes), base + BigInt(end * bytes) - 1n)
}

function tell({ sink, clearing }: DirtyScan, first: bigint, last: bigint): void {
  sink(first, last - first + 1n)
  if (!clearing) return
  if (first < clearing.first) clearing.first = first
  if (last > clearing.last) clearing.last = last
}
