/** Finds where one iova goes, and visits all pages of a table: readers that change nothing. */
import { type Hpa, hpaLo, hpaOf, hpaHi, type IovaRange, join } from '@ioasis/core'
import { indexAt, type Level } from './layout.ts'
import type { Tables } from './tables.ts'

/** @returns where an iova, given as two words, goes; undefined: nowhere */
export function lookup(t: Tables, hi: number, lo: number): Hpa | undefined {
  let table = t.root
  if (!t.reaches(hi, lo)) return undefined
  for (let depth = t.topLevel; ; depth--) {
    const level = t.layout.levels[depth] as Level
    t.load(table, indexAt(level, hi, lo))
    if (!t.present) return undefined
    if (!t.isTable(level)) {
      const shift = t.pageShift(level)
      const page = t.pageAddress(shift)
      if (shift >= 32) return hpaOf(hpaHi(page) | (hi & ~(-1 << (shift - 32))), lo)
      return hpaOf(hpaHi(page), hpaLo(page) | (lo & ~(-1 << shift)))
    }
    table = t.tableAddress
  }
}

/** Called for each page, lowest iova first. */
export type LeafVisitor = (iova: bigint, bytes: bigint, hpa: Hpa, writable: boolean) => void

/**
 * Visits the pages below one table, entry by entry as they stand in memory: slow, and without trust in the counts.
 * @param near leaves out entries that lie beside this range
 */
export function visitLeaves(
  t: Tables,
  table: Hpa,
  depth: number,
  iovaHi: number,
  iovaLo: number,
  visit: LeafVisitor,
  near?: IovaRange,
): void {
  const level = t.layout.levels[depth] as Level
  const { writableLo, writableHi } = t.layout
  const { from, end } = near ? entriesNear(level, join(iovaHi, iovaLo), near) : { from: 0, end: level.entries }
  for (let i = from; i < end;) {
    t.load(table, i)
    const hi = level.shift >= 32 ? iovaHi | (i << (level.shift - 32)) : iovaHi | (i >>> (32 - level.shift))
    const lo = level.shift >= 32 ? iovaLo : iovaLo | (i << level.shift)
    let entries = 1
    if (t.present && t.isTable(level)) visitLeaves(t, t.tableAddress, depth - 1, hi, lo, visit, near)
    else if (t.present) {
      const shift = t.pageShift(level)
      const writable = (t.lo & writableLo) === writableLo && (t.hi & writableHi) === writableHi
      entries = 1 << (shift - level.shift)
      // A page of several entries may have been entered in its midst.
      visit((join(hi, lo) >> BigInt(shift)) << BigInt(shift), 1n << BigInt(shift), t.pageAddress(shift), writable)
    }
    i = (i & -entries) + entries
  }
}

/** Which entries of a table that starts at `base` touch a range: none, when it ends before. */
function entriesNear(level: Level, base: bigint, near: IovaRange): { readonly from: number; readonly end: number } {
  const shift = BigInt(level.shift)
  const from = near.first > base ? Number((near.first - base) >> shift) : 0
  return { from, end: near.last < base ? 0 : Math.min(level.entries, Number((near.last - base) >> shift) + 1) }
}
