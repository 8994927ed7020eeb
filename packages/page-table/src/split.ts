/** Replaces a page that reaches over an address by smaller ones, so that a range can be unmapped up to it. */
import { type Hpa, hpaHi, hpaLo } from '@ioasis/core'
import { indexAt, type Level, type PageSize } from './layout.ts'
import type { Tables } from './tables.ts'

/**
 * Makes a page begin at an iova, if one lies across it: each step replaces a page by a table of the next smaller ones
 * that translates alike, with the same permissions, in one store. What a unit has cached of the larger page stays right
 * until something in its range is unmapped and flushed.
 * @returns the bottom table of single pages that the way led to: no page lies across any address in its reach; undefined: none
 * @throws UapiError ENOMEM; all translations are as before
 */
export function splitAt(t: Tables, hi: number, lo: number): Hpa | undefined {
  const { hasContiguous } = t.layout
  let table = t.root
  for (let depth = t.topLevel; depth >= 0; depth--) {
    if (depth === 0 && !hasContiguous) return table
    const level = t.layout.levels[depth] as Level
    const index = indexAt(level, hi, lo)
    t.load(table, index)
    if (!t.present) return undefined
    if (t.isTable(level)) {
      table = t.tableAddress
      continue
    }
    const shift = t.pageShift(level)
    if (isMultiple(hi, lo, shift)) return undefined
    const item = itemOf(t, depth)
    if (shift > item.shift) divide(t, table, depth, index, shift)
    if (isMultiple(hi, lo, item.shift)) return undefined
    t.load(table, index)
    table = lower(t, table, depth, index)
  }
  return undefined
}

const isMultiple = (hi: number, lo: number, shift: number): boolean =>
  shift >= 32 ? (lo | (hi & ~(-1 << (shift - 32)))) === 0 : (lo & ~(-1 << shift)) === 0

/** A page of several entries becomes the smallest pages of its level, in its place. */
function divide(t: Tables, table: Hpa, depth: number, index: number, shift: number): void {
  const level = t.layout.levels[depth] as Level
  const entries = 1 << (shift - level.shift)
  const first = index & -entries
  writeItems(t, table, first, entries, t.pageAddress(shift), itemOf(t, depth), attributes(t))
  t.flush(table, first, first + entries - 1)
}

/**
 * The loaded entry is one of the smallest pages of its level: each entry that it takes becomes a table of the smallest pages of
 * the level below. @returns the table at `index`
 * @throws UapiError ENOMEM; nothing has changed then
 */
function lower(t: Tables, table: Hpa, depth: number, index: number): Hpa {
  const { repeat, shift } = itemOf(t, depth)
  const level = t.layout.levels[depth] as Level
  const { entries } = t.layout.levels[depth - 1] as Level
  const first = index & -repeat
  const target = t.pageAddress(shift)
  const bits = attributes(t)
  const children = t.allocMany(repeat)
  children.forEach((child, i) => {
    writeItems(t, child, 0, entries, target + i * level.bytes, itemOf(t, depth - 1), bits)
    t.flush(child, 0, entries - 1)
    t.occupancy.set(child, entries)
    t.link(table, depth, first + i, child)
  })
  return children[index - first] as Hpa
}

/** Fills entries [first, first + entries) with pages of one size that lie behind each other. */
function writeItems(
  t: Tables,
  table: Hpa,
  first: number,
  entries: number,
  target: Hpa,
  item: PageSize,
  bits: { readonly lo: number; readonly hi: number },
): void {
  const lo = bits.lo | item.lo
  const hi = bits.hi | item.hi
  for (let i = 0; i < entries; i++) {
    const hpa = target + Math.floor(i / item.repeat) * item.bytes
    t.store(table, first + i, lo | hpaLo(hpa), hi | hpaHi(hpa))
  }
}

/** The smallest page of a level; layoutOf has seen to it that there is one wherever a split may come. */
function itemOf(t: Tables, depth: number): PageSize {
  const item = t.layout.sizes.findLast((size) => size.level === depth)
  if (!item) throw new Error(`page-table: ${t.layout.name} has no page of level ${depth} to split into`)
  return item
}

/** The loaded page's bits apart from its address and its size: permissions, attributes, dirty. */
function attributes(t: Tables): { readonly lo: number; readonly hi: number } {
  const { addressLo, addressHi, markLo, markHi } = t.layout
  return { lo: t.lo & ~(addressLo | markLo), hi: t.hi & ~(addressHi | markHi) }
}
