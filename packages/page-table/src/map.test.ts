import { pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { vtdss } from './formats/vtdss.ts'
import { SIZES, testWorld } from './world.test-kit.ts'

const RW = { read: true, write: true }
const four = { topLevel: 3, pageSizes: SIZES }

test('a run that crosses 4 GiB inside one table goes on above it', () => {
  const { table } = testWorld(vtdss, four)
  table.map(0x10_0000n, pageRuns([0xffff_d000, 0x6000]), RW)
  expect([2, 3, 5].map((n) => table.lookup(0x10_0000n + BigInt(n * 0x1000)))).toEqual([
    0xffff_f000, 0x1_0000_0000, 0x1_0000_2000,
  ])
})

test('a large page that comes after scattered small ones is taken all the same', () => {
  const { table } = testWorld(vtdss, four)
  const sizes: bigint[] = []
  table.map(0x1f_e000n, pageRuns([0x9000, 0x1000], [0x5000, 0x1000], [0x40_0000, 0x20_0000], [0x3000, 0x1000]), RW)
  table.leaves((_, bytes) => sizes.push(bytes))
  expect(sizes).toEqual([0x1000n, 0x1000n, 0x20_0000n, 0x1000n])
})

test('large runs one after the other are large pages only where they are aligned', () => {
  const { table } = testWorld(vtdss, four)
  const sizes = new Map<bigint, number>()
  table.map(0n, pageRuns([0x40_0000, 0x20_0000], [0x100_1000, 0x20_0000], [0x80_0000, 0x40_0000]), RW)
  table.leaves((_, bytes) => sizes.set(bytes, (sizes.get(bytes) ?? 0) + 1))
  expect(sizes).toEqual(
    new Map([
      [0x20_0000n, 3],
      [0x1000n, 512],
    ]),
  )
  expect(table.lookup(0x3f_ffffn)).toBe(0x120_0fff)
  expect(table.lookup(0x7f_ffffn)).toBe(0xbf_ffff)
})

test('scattered pages that meet a taken one leave nothing of themselves', () => {
  const { table } = testWorld(vtdss, four)
  table.map(0x3000n, pageRuns([0x7000, 0x1000]), RW)
  expect(() =>
    table.map(0n, pageRuns([0x1000, 0x1000], [0x9000, 0x1000], [0x5000, 0x1000], [0x2000, 0x1000]), RW),
  ).toThrow('EADDRINUSE')
  const seen: bigint[] = []
  table.leaves((iova) => seen.push(iova))
  expect(seen).toEqual([0x3000n])
})

test('a run of no bytes is passed over', () => {
  const { table } = testWorld(vtdss, four)
  table.map(0n, pageRuns([0x9000, 0], [0x5000, 0x1000], [0x20_0000, 0], [0x7000, 0x2000], [0xb000, 0]), RW)
  expect([0n, 0x1000n, 0x2000n, 0x3000n].map((iova) => table.lookup(iova))).toEqual([0x5000, 0x7000, 0x8000, undefined])
})

test('entries are flushed once per table when hardware does not snoop', () => {
  const w = testWorld(vtdss, four, { flushWrites: true })
  w.table.map(0x1f_f000n, pageRuns([0x5000, 0x1000], [0x9000, 0x1000], [0x7000, 0x1000]), RW)
  const [upper, lower] = [w.flushed.slice(0, 4), w.flushed.slice(4)]
  expect(upper.map(([, bytes]) => bytes)).toEqual([8, 8, 8, 8])
  expect(lower.map(([, bytes]) => bytes)).toEqual([8, 16])
})

test('what hardware reads past the cache is what was mapped', () => {
  const w = testWorld(vtdss, four, { cache: true, flushWrites: true })
  w.table.map(0n, pageRuns([0x5000, 0x1000], [0x9000, 0x3000]), RW)
  let table = w.table.root
  for (let level = 0; level < 3; level++) table = Number(w.entry(table, 0) & 0xf_ffff_ffff_f000n)
  expect([0, 1, 3, 4].map((i) => w.entry(table, i))).toEqual([0x5003n, 0x9003n, 0xb003n, 0n])
})
