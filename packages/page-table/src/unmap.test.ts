import { flushGather, pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { vtdss } from './formats/vtdss.ts'
import { SIZES, testWorld } from './world.test-kit.ts'

const RW = { read: true, write: true }
const four = { topLevel: 3, pageSizes: SIZES }

test('entries are zero in memory before any flush', () => {
  const w = testWorld(vtdss, four)
  w.table.map(0x5000n, pageRuns([0x9000, 0x1000]), RW)
  let leaf = w.table.root
  for (let level = 0; level < 3; level++) leaf = Number(w.entry(leaf, 0) & 0xf_ffff_ffff_f000n)
  expect(w.entry(leaf, 5)).toBe(0x9003n)
  const gather = flushGather()
  w.table.unmap(0x5000n, 0x1000n, gather)
  expect(w.entry(leaf, 5)).toBe(0n)
  expect(w.entry(w.table.root, 0)).toBe(0n)
  expect(gather.tables).toHaveLength(3)
  expect(gather.tables).toContain(leaf)
})

test('the granule is the smallest page that went', () => {
  const { table } = testWorld(vtdss, four)
  table.map(0x4000_0000n, pageRuns([0x4000_0000, 0x4000_0000], [0x20_0000, 0x20_0000]), RW)
  const gather = flushGather()
  table.unmap(0x4000_0000n, 0x4000_0000n, gather)
  expect(gather.granule).toBe(0x4000_0000)
  table.unmap(0x8000_0000n, 0x20_0000n, gather)
  expect(gather.granule).toBe(0x20_0000)
})

test('cleared entries are flushed once per table when hardware does not snoop', () => {
  const w = testWorld(vtdss, four, { flushWrites: true })
  w.table.map(0n, pageRuns([0x1000, 0x8000]), RW)
  w.flushed.length = 0
  w.table.unmap(0x1000n, 0x3000n, flushGather())
  expect(w.flushed.map(([, bytes]) => bytes)).toEqual([24])
})

test('the whole aperture can be unmapped at once', () => {
  const { table } = testWorld(vtdss, { topLevel: 4, pageSizes: SIZES })
  table.map(0n, pageRuns([0x1000, 0x1000]), RW)
  table.map(0x1ff_ffff_ffff_f000n, pageRuns([0x1000, 0x1000]), RW)
  expect(table.unmap(0n, 1n << 57n, flushGather())).toBe(0x2000n)
  expect(table.tablePages).toBe(1)
})

test('cleared pointers and large pages are flushed too', () => {
  const w = testWorld(vtdss, four, { cache: true, flushWrites: true })
  w.table.map(0n, pageRuns([0x4000_0000, 0x4000_0000], [0x20_0000, 0x20_0000]), RW)
  const second = Number(w.entry(w.table.root, 0) & 0xf_ffff_ffff_f000n)
  expect(w.entry(second, 0)).toBe(0x4000_0083n)
  w.table.unmap(0n, 0x8000_0000n, flushGather())
  expect(w.entry(second, 0)).toBe(0n)
  expect(w.entry(second, 1)).toBe(0n)
  expect(w.entry(w.table.root, 0)).toBe(0n)
})
