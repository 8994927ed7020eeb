/** Replaces a page that reaches over an address by smaller ones, so that a range can be unmapped up to it. */
import { type Hpa, hpaHi, hpaLo } from '@ioasis/core'
import { indexAt, type Level } from './layout.ts'
import type { Tables } from './tables.ts'

/**
 * Makes a page begin at an iova, if one lies across it: each step replaces a page by a table of the next smaller ones
 * that translates alike, with the same permissions, in one store. What a unit has cached of the larger page stays right
 * until something in its range is unmapped and flushed.
 * @throws UapiError ENOMEM; all translations are as before
 */
export function splitAt(t: Tables, hi: number, lo: number): void {
  let table = t.root
  for (let depth = t.layout.topLevel; depth >= 0; depth--) {
    const level = t.layout.levels[depth] as Level
    const index = indexAt(level, hi, lo)
    t.load(table, index)
    if (!t.present) return
    if (t.isTable(level)) {
      table = t.tableAddress
      continue
    }
    const shift = t.pageShift(level)
    if (isMultiple(hi, lo, shift)) return
    if (shift > level.shift) divide(t, table, depth, index, shift)
    if (isMultiple(hi, lo, level.shift)) return
    t.load(table, index)
    table = lower(t, table, depth, index)
  }
}

const isMultiple = (hi: number, lo: number, shift: number): boolean =>
  shift >= 32 ? (lo | (hi & ~(-1 << (shift - 32)))) === 0 : (lo & ~(-1 << shift)) === 0

/** A page of several entries becomes a page per entry, in its place. */
function divide(t: Tables, table: Hpa, depth: number, index: number, shift: number): void {
  const level = t.layout.levels[depth] as Level
  const size = itemOf(t, depth)
  const count = 1 << (shift - level.shift)
  const first = index & -count
  const target = t.pageAddress(shift)
  const { lo, hi } = attributes(t)
  for (let i = 0; i < count; i++) {
    const hpa = target + i * size.bytes
    t.store(table, first + i, lo | size.lo | hpaLo(hpa), hi | size.hi | hpaHi(hpa))
  }
  t.flush(table, first, first + count - 1)
}

/** The loaded entry, a page, becomes a table of pages of the level below. @returns that table */
function lower(t: Tables, table: Hpa, depth: number, index: number): Hpa {
  const size = itemOf(t, depth - 1)
  const { entries } = t.layout.levels[depth - 1] as Level
  const target = t.pageAddress((t.layout.levels[depth] as Level).shift)
  const { lo, hi } = attributes(t)
  const child = t.alloc()
  for (let i = 0; i < entries; i++) {
    const hpa = target + i * size.bytes
    t.store(child, i, lo | size.lo | hpaLo(hpa), hi | size.hi | hpaHi(hpa))
  }
  t.flush(child, 0, entries - 1)
  t.occupancy.set(child, entries)
  t.link(table, depth, index, child)
  return child
}

/** What a page of one entry of this level looks like; layoutOf has seen to it that there is one wherever a split may come. */
function itemOf(t: Tables, depth: number): { readonly bytes: number; readonly lo: number; readonly hi: number } {
  for (const size of t.layout.sizes) if (size.level === depth && size.repeat === 1) return size
  throw new Error(`page-table: ${t.layout.name} has no page of level ${depth} to split into`)
}

/** The loaded page's bits apart from its address and its size: permissions, attributes, dirty. */
function attributes(t: Tables): { readonly lo: number; readonly hi: number } {
  const { addressLo, addressHi, markLo, markHi } = t.layout
  return { lo: t.lo & ~(addressLo | markLo), hi: t.hi & ~(addressHi | markHi) }
}
