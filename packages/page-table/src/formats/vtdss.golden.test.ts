/**
 * Entries written by hand from Intel VT-d r4.1 "9.8 Second-Stage Paging Entries": R bit 0, W bit 1, PS bit 7, SNP bit 11,
 * address from bit 12. Nothing here uses the constants of the format.
 */
import { pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { testWorld, type TestWorld } from '../world.test-kit.ts'
import { vtdss } from './vtdss.ts'

const RW = { read: true, write: true }
const four = (): TestWorld => testWorld(vtdss, { topLevel: 3, pageSizes: 0x4020_1000n })
/** The table an entry points to: 52 bits less the lowest twelve. */
const target = (entry: bigint): number => Number(entry & 0xf_ffff_ffff_f000n)

test('a 4 KiB page stands in the fourth table, which readable and writable entries lead to', () => {
  const w = four()
  // 257 << 39 | 1 << 30 | 2 << 21 | 2 << 12
  w.table.map(0x8080_4040_2000n, pageRuns([0x12_3456_7000, 0x1000]), RW)
  const pml4e = w.entry(w.table.root, 257)
  expect(pml4e & 0xfffn).toBe(0x003n)
  const pdpte = w.entry(target(pml4e), 1)
  expect(pdpte & 0xfffn).toBe(0x003n)
  const pde = w.entry(target(pdpte), 2)
  expect(pde & 0xfffn).toBe(0x003n)
  expect(w.entry(target(pde), 2)).toBe(0x12_3456_7003n)
  expect(w.entry(target(pde), 1)).toBe(0n)
  expect(w.entry(target(pde), 3)).toBe(0n)
})

test('bit 10 marks flushed pointers to tables, where walks do not snoop: Linux 7.2 shows 0x403, and 0x803 in leaves', () => {
  const w = testWorld(vtdss, { topLevel: 3, pageSizes: 0x4020_1000n }, { flushWrites: true })
  w.table.map(0x10_0000n, pageRuns([0xdf_c000, 0x1000]), RW, 0x800)
  w.table.map(0x80_0000n, pageRuns([0x300_0000, 0x20_0000]), RW, 0x800)
  const pml4e = w.entry(w.table.root, 0)
  const pdpte = w.entry(target(pml4e), 0)
  const pde = w.entry(target(pdpte), 0)
  expect([pml4e, pdpte, pde].map((entry) => entry & 0xfffn)).toEqual([0x403n, 0x403n, 0x403n])
  expect(w.entry(target(pde), 0x100)).toBe(0xdf_c803n)
  expect(w.entry(target(pdpte), 4)).toBe(0x300_0883n)
})

test('the mark is not flushed: a walk past the cache sees the pointer without it', () => {
  const w = testWorld(vtdss, { topLevel: 3, pageSizes: 0x1000n }, { cache: true, flushWrites: true })
  w.table.map(0x10_0000n, pageRuns([0xdf_c000, 0x1000]), RW)
  expect(w.entry(w.table.root, 0) & 0xfffn).toBe(0x003n)
  w.cpu.loadWords(w.table.root)
  expect(w.cpu.lo & 0xfff).toBe(0x403)
})

test('read-only and write-only pages carry one bit', () => {
  const w = four()
  w.table.map(0x0n, pageRuns([0xf_ffff_ffff_f000, 0x1000]), { read: true, write: false })
  w.table.map(0x1000n, pageRuns([0x5000, 0x1000]), { read: false, write: true })
  const table = target(w.entry(target(w.entry(target(w.entry(w.table.root, 0)), 0)), 0))
  expect(w.entry(table, 0)).toBe(0xf_ffff_ffff_f001n)
  expect(w.entry(table, 1)).toBe(0x5002n)
})

test('a 2 MiB page is an entry of the third table with bit 7 set', () => {
  const w = four()
  w.table.map(0xffff_ffe0_0000n, pageRuns([0x3_4560_0000, 0x20_0000]), RW)
  const directory = target(w.entry(target(w.entry(w.table.root, 511)), 511))
  expect(w.entry(directory, 511)).toBe(0x3_4560_0083n)
})

test('a 1 GiB page is an entry of the second table with bit 7 set', () => {
  const w = four()
  w.table.map(0x40_0000_0000n, pageRuns([0x1c0_0000_0000, 0x4000_0000]), { read: true, write: false })
  expect(w.entry(target(w.entry(w.table.root, 0)), 256)).toBe(0x1c0_0000_0081n)
})

test('SNP is bit 11 of pages of each size, and of no entry above them', () => {
  const w = four()
  w.table.map(0x3fff_f000n, pageRuns([0x1000, 0x1000], [0x8000_0000, 0x4020_0000], [0x9000, 0x1000]), RW, 0x800)
  const pml4e = w.entry(w.table.root, 0)
  expect(pml4e & 0xfffn).toBe(0x003n)
  const pdpt = target(pml4e)
  expect(w.entry(pdpt, 1)).toBe(0x8000_0883n)
  const first = w.entry(pdpt, 0)
  const second = w.entry(pdpt, 2)
  expect([first & 0xfffn, second & 0xfffn]).toEqual([0x003n, 0x003n])
  expect(w.entry(target(second), 0)).toBe(0xc000_0883n)
  expect(w.entry(target(w.entry(target(second), 1)), 0)).toBe(0x9803n)
  expect(w.entry(target(w.entry(target(first), 511)), 511)).toBe(0x1803n)
})

test('five levels use bits 56:48 for the first table', () => {
  const w = testWorld(vtdss, { topLevel: 4, pageSizes: 0x20_1000n })
  expect(w.table.aperture).toEqual({ first: 0n, last: 0x1ff_ffff_ffff_ffffn })
  w.table.map(0x1ab_0000_0000_3000n, pageRuns([0x7000, 0x1000]), RW)
  let entry = w.entry(w.table.root, 0x1ab)
  for (const index of [0, 0, 0]) {
    expect(entry & 0xfffn).toBe(0x003n)
    entry = w.entry(target(entry), index)
  }
  expect(w.entry(target(entry), 3)).toBe(0x7003n)
})

test('three levels use bits 38:30 for the first table', () => {
  const w = testWorld(vtdss, { topLevel: 2, pageSizes: 0x4020_1000n })
  expect(w.table.aperture.last).toBe(0x7f_ffff_ffffn)
  w.table.map(0x7f_c000_0000n, pageRuns([0x4000_0000, 0x4000_0000]), RW)
  expect(w.entry(w.table.root, 511)).toBe(0x4000_0083n)
})

test('splitting keeps permissions and SNP and drops bit 7 at the bottom', () => {
  const w = four()
  w.table.map(0x0n, pageRuns([0x20_0000, 0x20_0000]), { read: true, write: false }, 0x800)
  w.table.unmap(0x1000n, 0x1000n, { first: 2n ** 64n - 1n, last: 0n, granule: 0, tables: [] })
  const table = target(w.entry(target(w.entry(target(w.entry(w.table.root, 0)), 0)), 0))
  expect([0, 1, 2, 511].map((i) => w.entry(table, i))).toEqual([0x20_0801n, 0n, 0x20_2801n, 0x3f_f801n])
})
