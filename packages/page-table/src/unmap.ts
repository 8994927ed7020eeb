/** Removes the pages of a range, and the tables that become empty by it. */
import type { FlushGather, Hpa } from '@ioasis/core'
import { indexAt, type Layout, type Level } from './layout.ts'
import type { Tables } from './tables.ts'

/**
 * Removes the entries of one table that lie in [first, last], and of the tables below it. No page reaches over an end of
 * the range: see split.ts. Only the bits of `first` and `last` below this table's reach matter.
 * @param gather is told the smallest page and the tables to free after the flush
 * @returns the bytes that were mapped
 */
export function clearRange(
  t: Tables,
  table: Hpa,
  depth: number,
  firstHi: number,
  firstLo: number,
  lastHi: number,
  lastLo: number,
  gather: FlushGather,
): number {
  const level = t.layout.levels[depth] as Level
  const from = indexAt(level, firstHi, firstLo)
  const to = indexAt(level, lastHi, lastLo)
  if (depth === 0) return clearPages(t, table, level, from, to, gather)
  let bytes = 0
  let removed = 0
  for (let i = from; i <= to; i++) {
    t.load(table, i)
    if (!t.present) continue
    if (t.isTable(level)) {
      const child = t.tableAddress
      const whole = i > from
      const tail = i < to
      bytes += clearRange(
        t,
        child,
        depth - 1,
        whole ? 0 : firstHi,
        whole ? 0 : firstLo,
        tail ? -1 : lastHi,
        tail ? -1 : lastLo,
        gather,
      )
      if (t.occupancy.get(child) !== 0) continue
      t.occupancy.delete(child)
      gather.tables.push(child)
    } else {
      bytes += level.bytes
      note(gather, t.layout.hasContiguous ? 2 ** t.pageShift(level) : level.bytes)
    }
    t.store(table, i, 0, 0)
    removed++
  }
  if (removed > 0) {
    t.flush(table, from, to)
    t.adjust(table, -removed)
  }
  return bytes
}

/**
 * The same for a range within one bottom table that is known: the tables above are met only when it becomes empty.
 * @returns the bytes that were mapped
 */
export function clearBottom(
  t: Tables,
  table: Hpa,
  firstHi: number,
  firstLo: number,
  lastHi: number,
  lastLo: number,
  gather: FlushGather,
): number {
  const level = t.layout.levels[0] as Level
  const from = indexAt(level, firstHi, firstLo)
  const to = indexAt(level, lastHi, lastLo)
  const bytes = clearPages(t, table, level, from, to, gather)
  // The walk from the root finds nothing more to clear, and takes out what is empty.
  if (t.occupancy.get(table) === 0) clearRange(t, t.root, t.topLevel, firstHi, firstLo, lastHi, lastLo, gather)
  return bytes
}

/** Keeps the smallest page removed. */
function note(gather: FlushGather, bytes: number): void {
  if (gather.granule === 0 || bytes < gather.granule) gather.granule = bytes
}

/** The bottom level: pages only. */
function clearPages(t: Tables, table: Hpa, level: Level, from: number, to: number, gather: FlushGather): number {
  const whole = to - from + 1 === level.entries
  let removed = 0
  if (t.layout.hasContiguous) noteSizes(t, table, level, from, to, gather)
  for (let i = from; i <= to;) {
    const last = t.lastInView(table, i, to)
    const view = t.view(table + i * 8)
    const count = last - i + 1
    if (view === undefined) removed += clearSlowly(t, table, i, last)
    else {
      const word = t.wordAt(table, i)
      if (!whole) removed += countPresent(t.layout, view, word, count)
      view.fill(0, word, word + 2 * count)
    }
    i = last + 1
  }
  if (whole) removed = t.occupancy.get(table) as number
  if (removed === 0) return 0
  t.flush(table, from, to)
  t.adjust(table, -removed)
  if (!t.layout.hasContiguous) note(gather, level.bytes)
  return removed * level.bytes
}

function countPresent(layout: Layout, view: Int32Array, word: number, entries: number): number {
  const { presentFirst, presentSecond } = layout
  const end = word + 2 * entries
  let count = 0
  for (let i = word; i < end; i += 2) {
    if ((((view[i] as number) & presentFirst) | ((view[i + 1] as number) & presentSecond)) !== 0) count++
  }
  return count
}

/** Without a view. Absent entries are not written: each store may cost a cache line. */
function clearSlowly(t: Tables, table: Hpa, from: number, last: number): number {
  let count = 0
  for (let i = from; i <= last; i++) {
    t.load(table, i)
    if (!t.present) continue
    t.store(table, i, 0, 0)
    count++
  }
  return count
}

/**
 * Where one page may take several entries, the sizes are read off before they are cleared. An entry that is a page of its own
 * ends the search: nothing smaller can come.
 */
function noteSizes(t: Tables, table: Hpa, level: Level, from: number, to: number, gather: FlushGather): void {
  if (gather.granule === level.bytes) return
  for (let i = from; i <= to;) {
    const view = t.view(table + i * 8)
    if (view !== undefined && !t.layout.swapped) {
      // Absent entries are passed by in a plain loop.
      const last = t.lastInView(table, i, to)
      i = nextPresent(t.layout, view, t.wordAt(table, i), i, last)
      if (i > last) continue
    }
    t.load(table, i)
    if (!t.present) {
      i++
      continue
    }
    const shift = t.pageShift(level)
    note(gather, 2 ** shift)
    if (shift === level.shift) return
    i = (i | ((1 << (shift - level.shift)) - 1)) + 1
  }
}

/** The first present entry from `index` on; one beyond `last` when there is none. */
function nextPresent(layout: Layout, view: Int32Array, word: number, index: number, last: number): number {
  const { presentFirst, presentSecond } = layout
  let at = word
  let i = index
  for (; i <= last; i = (i + 1) | 0, at = (at + 2) | 0) {
    if ((((view[at] as number) & presentFirst) | ((view[at + 1] as number) & presentSecond)) !== 0) break
  }
  return i
}
