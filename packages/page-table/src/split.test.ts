import { flushGather, pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { vtdss } from './formats/vtdss.ts'
import { SIZES, testWorld } from './world.test-kit.ts'

const RW = { read: true, write: true }

test('only the pages that a border cuts are split, and only as far down as needed', () => {
  const { table } = testWorld(vtdss, { topLevel: 3, pageSizes: SIZES })
  table.map(0x4000_0000n, pageRuns([0x4000_0000, 0x8000_0000]), RW)
  expect(table.tablePages).toBe(2)
  expect(table.unmap(0x4060_1000n, 0x4000_0000n, flushGather())).toBe(0x4000_0000n)
  const sizes: bigint[] = []
  table.leaves((_, bytes) => sizes.push(bytes))
  const count = (bytes: bigint): number => sizes.filter((size) => size === bytes).length
  expect([count(0x4000_0000n), count(0x20_0000n), count(0x1000n)]).toEqual([0, 3 + 508, 1 + 511])
  expect(table.lookup(0x4060_0fffn)).toBe(0x4060_0fff)
  expect(table.lookup(0x8060_1000n)).toBe(0x8060_1000)
})

test('an unmap along page borders splits nothing', () => {
  const w = testWorld(vtdss, { topLevel: 3, pageSizes: SIZES })
  w.table.map(0n, pageRuns([0, 0x60_0000]), RW)
  const before = w.pages.allocated
  w.table.unmap(0x20_0000n, 0x20_0000n, flushGather())
  expect(w.pages.allocated).toBe(before)
})

test('the new table is in memory before an entry leads to it', () => {
  const w = testWorld(vtdss, { topLevel: 3, pageSizes: SIZES }, { cache: true, flushWrites: true })
  w.table.map(0n, pageRuns([0x20_0000, 0x20_0000]), RW)
  const links: bigint[] = []
  const store = w.cpu.storeWords.bind(w.cpu)
  w.cpu.storeWords = (hpa, lo, hi) => {
    // Bit 10 comes with a second store, once the first was flushed.
    if ((lo & 0x483) === 0x03 && lo >>> 0 < 0x20_0000) links.push(w.entry(lo & ~0xfff, 511))
    store(hpa, lo, hi)
  }
  w.table.unmap(0x1f_f000n, 0x1000n, flushGather())
  expect(links).toEqual([0x3f_f003n])
})
