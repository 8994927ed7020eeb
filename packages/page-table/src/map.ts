/**
 * Maps runs of contiguous memory, one leaf table at a time: the tables are descended once for all pages that fall into
 * one, and the pages are written by a plain loop. Page sizes are chosen as drivers/iommu/generic_pt/pt_iter.h
 * pt_compute_best_pgsize does: the largest that iova and target are both aligned to and that fits what is left of the run.
 */
import { type Hpa, hpaHi, hpaLo, type PageRuns } from '@ioasis/core'
import { advance, type Cursor } from './cursor.ts'
import { indexAt, type Level, type PageSize } from './layout.ts'
import type { Tables } from './tables.ts'

/** Bits of each leaf that a map call decides, as two words. */
export interface LeafBits {
  readonly lo: number
  readonly hi: number
}

/**
 * Maps all runs from `at` on, moving `at` forward.
 * @returns false when something is mapped there already; what lies before `at` is mapped then
 * @throws UapiError ENOMEM; likewise
 */
export function mapRuns(t: Tables, at: Cursor, runs: PageRuns, bits: LeafBits): boolean {
  while (at.run < runs.count) {
    const left = (runs.bytes[at.run] as number) - at.done
    if (left === 0) {
      at.run++
      continue
    }
    const which = bestSize(t, at, (runs.hpa[at.run] as number) + at.done, left)
    const size = t.layout.sizes[which] as PageSize
    if (size.level > t.topLevel) t.growTo(size.level, at.hi, at.lo)
    const table = t.make(size.level, at.hi, at.lo)
    if (table === undefined || !fill(t, at, runs, which, table, bits)) return false
  }
  return true
}

/** Largest page that fits; the smallest always does. */
function bestSize(t: Tables, at: Cursor, hpa: Hpa, left: number): number {
  const { sizes } = t.layout
  const hi = at.hi | hpaHi(hpa)
  const lo = at.lo | hpaLo(hpa)
  let which = 0
  for (; which < sizes.length - 1; which++) {
    const size = sizes[which] as PageSize
    if (left >= size.bytes && ((lo & size.maskLo) | (hi & size.maskHi)) === 0) break
  }
  return which
}

/** Whether a larger page would come to fit, if not at this address then at a later one. */
function congruent(larger: PageSize, hi: number, lo: number, hpa: Hpa): boolean {
  return (((lo ^ hpaLo(hpa)) & larger.maskLo) | ((hi ^ hpaHi(hpa)) & larger.maskHi)) === 0
}

/** Bytes from an iova to the next multiple of a page; 0 when it is one. */
function untilAligned(size: PageSize, hi: number, lo: number): number {
  const behind = (hi & size.maskHi) * 0x1_0000_0000 + ((lo & size.maskLo) >>> 0)
  return behind === 0 ? 0 : size.bytes - behind
}

/**
 * Writes pages of one size into one table until it is full, another size is due, or the runs end. Small scattered runs
 * stay in this loop.
 * @returns false when an entry is taken; the pages before it are written and counted
 */
function fill(t: Tables, at: Cursor, runs: PageRuns, which: number, table: Hpa, bits: LeafBits): boolean {
  const { sizes, levels } = t.layout
  const size = sizes[which] as PageSize
  const larger = which > 0 ? sizes[which - 1] : undefined
  const level = levels[size.level] as Level
  const plain = size.repeat === 1 && size.shift < 31 && !t.layout.swapped
  const smallest = which === sizes.length - 1
  const start = indexAt(level, at.hi, at.lo)
  const end = t.lastInView(table, start, level.entries - 1) + 1
  const empty = (t.occupancy.get(table) as number) === 0
  const view = t.view(table + start * 8)
  const lo = bits.lo | size.lo
  const hi = bits.hi | size.hi
  let index = start
  let free = true
  while (index < end && at.run < runs.count) {
    if (plain && smallest && view !== undefined) {
      const pages = writeScattered(t, view, table, index, end - index, at, runs, bits, size, !empty)
      index += pages
      advance(at, pages, size.shift)
      if (index === end || at.run === runs.count) break
    }
    const hpa = (runs.hpa[at.run] as number) + at.done
    const pages = pagesHere(at, hpa, (runs.bytes[at.run] as number) - at.done, size, larger, end - index)
    if (pages === 0) break
    const entries = pages * size.repeat
    free = empty || isFree(t, view, table, index, entries)
    if (!free) break
    if (plain && view !== undefined) {
      writeRun(
        view,
        t.wordAt(table, index),
        entries,
        lo | hpaLo(hpa),
        hi | hpaHi(hpa),
        1 << size.shift,
        t.layout.addressLo,
      )
    } else {
      writePages(t, table, index, pages, size, lo, hi, hpa)
    }
    index += entries
    advance(at, pages, size.shift)
    at.done += pages * size.bytes
    if (at.done === runs.bytes[at.run]) {
      at.run++
      at.done = 0
    }
  }
  if (index > start) {
    t.flush(table, start, index - 1)
    t.adjust(table, index - start)
  }
  return free
}

/** How many pages of a size come next: up to the end of the run, of the table, or where a larger size fits; 0: another size is due. */
function pagesHere(
  at: Cursor,
  hpa: Hpa,
  left: number,
  size: PageSize,
  larger: PageSize | undefined,
  entries: number,
): number {
  if (((hpaLo(hpa) & size.maskLo) | (hpaHi(hpa) & size.maskHi)) !== 0) return 0
  let bytes = Math.min(left, (entries / size.repeat) * size.bytes)
  if (larger !== undefined && left >= larger.bytes && congruent(larger, at.hi, at.lo, hpa)) {
    const ahead = untilAligned(larger, at.hi, at.lo)
    if (left - ahead >= larger.bytes) bytes = Math.min(bytes, ahead)
  }
  return Math.floor(bytes / size.bytes)
}

/** Whether none of the entries is present. */
function isFree(t: Tables, view: Int32Array | undefined, table: Hpa, index: number, entries: number): boolean {
  if (view === undefined) {
    for (let i = index; i < index + entries; i++) {
      t.load(table, i)
      if (t.present) return false
    }
    return true
  }
  const { presentFirst, presentSecond } = t.layout
  const from = t.wordAt(table, index)
  const end = from + 2 * entries
  for (let i = from; i < end; i += 2) {
    if ((((view[i] as number) & presentFirst) | ((view[i + 1] as number) & presentSecond)) !== 0) return false
  }
  return true
}

/**
 * The hot loop for scattered memory: as many runs of one smallest page each as come next, little-endian entries. It ends
 * at the first other run or taken entry; a run of one page cannot be half done. Where it begins and the bits of an entry are
 * worked out in here: V8 unwraps a number that is passed in once per page.
 * @param check whether entries may be taken
 * @returns pages written; `at` moves over their runs
 */
function writeScattered(
  t: Tables,
  view: Int32Array,
  table: Hpa,
  index: number,
  room: number,
  at: Cursor,
  runs: PageRuns,
  bits: LeafBits,
  size: PageSize,
  check: boolean,
): number {
  const { presentFirst, presentSecond, granule } = t.layout
  const { hpa, bytes } = runs
  const lo = bits.lo | size.lo
  const hi = bits.hi | size.hi
  const first = at.run
  const end = Math.min(runs.count, first + room)
  let run = first
  for (let i = t.wordAt(table, index); run < end; i = (i + 2) | 0, run = (run + 1) | 0) {
    if (bytes[run] !== granule) break
    if (check && (((view[i] as number) & presentFirst) | ((view[i + 1] as number) & presentSecond)) !== 0) break
    const target = hpa[run] as number
    view[i] = lo | target
    view[i + 1] = hi | (target / 0x1_0000_0000)
  }
  at.run = run
  return run - first
}

/** The hot loop for contiguous memory: neighbouring pages of one size, little-endian entries. Int32 throughout, as above. */
function writeRun(
  view: Int32Array,
  from: number,
  entries: number,
  lo: number,
  hi: number,
  step: number,
  addressLo: number,
): void {
  const end = (from + 2 * entries) | 0
  const add = step | 0
  const wrapped = addressLo | 0
  let leafLo = lo | 0
  let leafHi = hi | 0
  for (let i = from | 0; i < end; i = (i + 2) | 0) {
    view[i] = leafLo
    view[i + 1] = leafHi
    leafLo = (leafLo + add) | 0
    if ((leafLo & wrapped) === 0) leafHi = (leafHi + 1) | 0
  }
}

/** The same for every format, through the CPU. */
function writePages(
  t: Tables,
  table: Hpa,
  index: number,
  pages: number,
  size: PageSize,
  lo: number,
  hi: number,
  hpa: Hpa,
): void {
  for (let page = 0; page < pages; page++) {
    const target = hpa + page * size.bytes
    for (let i = 0; i < size.repeat; i++) {
      t.store(table, index + page * size.repeat + i, lo | hpaLo(target), hi | hpaHi(target))
    }
  }
}
