import { flushGather, pageRuns, type Prot } from '@ioasis/core'
import { describePageTableFormat } from '@ioasis/testkit/kits'
import { describe, expect, test } from 'vitest'
import type { PageTableGeometry } from '../format.ts'
import { testWorld } from '../world.test-kit.ts'
import { amdv1 } from './amdv1.ts'

/** All sizes below 512 GiB. */
const ENCODED = (1n << 39n) - 4096n
const RW: Prot = { read: true, write: true }
const target = (entry: bigint): number => Number(entry & 0x000f_ffff_ffff_f000n)
const mode = (levels: number, pageSizes = ENCODED, how = {}) =>
  testWorld(amdv1, { topLevel: levels - 1, pageSizes }, how)

describePageTableFormat({
  name: 'AMD v1',
  geometries: {
    'mode 2': () => mode(2, (1n << 27n) - 4096n),
    'mode 3, 4 KiB pages only': () => mode(3, 4096n),
    'mode 3, pages of 4 KiB, 2 MiB and 1 GiB': () => mode(3, 0x4020_1000n),
    'mode 4': () => mode(4),
    'mode 4 behind a CPU cache': () => mode(4, (1n << 36n) - 4096n, { cache: true, flushWrites: true }),
    'mode 5': () => mode(5),
    'mode 6': () => mode(6),
    'mode 3, growing to 6': () => testWorld(amdv1, { topLevel: 2, growsTo: 5, pageSizes: ENCODED }),
    'mode 1, growing to 4': () => testWorld(amdv1, { topLevel: 0, growsTo: 3, pageSizes: (1n << 30n) - 4096n }),
    'mode 2, growing to 5, 40 bits of iova': () =>
      testWorld(amdv1, { topLevel: 1, growsTo: 4, pageSizes: 0x4020_1000n, iovaBits: 40 }),
  },
})

test('has every power of two from 4 KiB to 2 PiB but 512 GiB', () => {
  expect(mode(6, ~0n).table.pageSizes).toBe(((1n << 52n) - 4096n) ^ (1n << 39n))
  expect(mode(1, ~0n).table.pageSizes).toBe(0x1f_f000n)
})

test('an entry names the level below it, a page of 32 KiB fills eight entries with its size', () => {
  const w = mode(4)
  w.table.map(0x8000n, pageRuns([0x1_0000, 0x8000], [0x9000, 0x1000]), RW)
  const levels = [w.entry(w.table.root, 0)]
  levels.push(w.entry(target(levels[0] as bigint), 0))
  levels.push(w.entry(target(levels[1] as bigint), 0))
  expect(levels.map((entry) => entry & 0xff00_0000_0000_0fffn)).toEqual([
    0x6000_0000_0000_0601n,
    0x6000_0000_0000_0401n,
    0x6000_0000_0000_0201n,
  ])
  const table = target(levels[2] as bigint)
  // 32 KiB: address bits 13:12 are ones, bit 14 is the zero above them.
  expect([7, 8, 15, 16, 17].map((i) => w.entry(table, i))).toEqual([
    0n,
    0x6000_0000_0001_3e01n,
    0x6000_0000_0001_3e01n,
    0x6000_0000_0000_9001n,
    0n,
  ])
  const gather = flushGather()
  expect(w.table.unmap(0xc000n, 0x1000n, gather)).toBe(0x1000n)
  expect([8, 12, 15].map((i) => w.entry(table, i))).toEqual([0x6000_0000_0001_0001n, 0n, 0x6000_0000_0001_7001n])
})

test('a page of 1 TiB, for which its level has no smaller one, is split through the level below', () => {
  const w = mode(4, ~0n)
  w.table.map(1n << 40n, pageRuns([2 ** 41, 2 ** 40]), { read: true, write: false })
  expect(w.table.tablePages).toBe(1)
  // Address bits 38:12 are ones: 2^40.
  expect(w.entry(w.table.root, 2)).toBe(0x2000_027f_ffff_fe01n)
  expect(w.entry(w.table.root, 3)).toBe(0x2000_027f_ffff_fe01n)
  expect(w.table.unmap((1n << 40n) + 4096n, 4096n, flushGather())).toBe(4096n)
  expect(w.table.lookup((1n << 40n) + 4095n)).toBe(2 ** 41 + 4095)
  expect(w.table.lookup((1n << 40n) + 8192n)).toBe(2 ** 41 + 8192)
  expect(w.table.lookup((1n << 41n) - 1n)).toBe(2 ** 41 + 2 ** 40 - 1)
})

const growing = (geometry: Partial<PageTableGeometry> = {}) => {
  const grown: [number, number][] = []
  const w = testWorld(amdv1, { topLevel: 2, growsTo: 5, pageSizes: ~0n, ...geometry }, {}, (root, level) =>
    grown.push([root, level]),
  )
  return { ...w, grown }
}

describe('a table that grows', () => {
  test('puts roots above its root for an iova beyond, and tells of the last one', () => {
    const { table, grown, ...w } = growing()
    table.map(0x1000n, pageRuns([0x5000, 0x1000]), RW)
    const first = table.root
    expect([table.topLevel, grown]).toEqual([2, []])
    table.map(1n << 50n, pageRuns([0x7000, 0x1000]), RW)
    expect(grown).toEqual([[table.root, 4]])
    const middle = w.entry(table.root, 0)
    expect(middle & 0xff00_0000_0000_0fffn).toBe(0x6000_0000_0000_0801n)
    expect(w.entry(target(middle), 0)).toBe(0x6000_0000_0000_0601n | BigInt(first))
    expect([table.lookup(0x1000n), table.lookup(1n << 50n)]).toEqual([0x5000, 0x7000])
  })

  test('grows for a page too large for its root', () => {
    const { table, grown } = growing({ topLevel: 0 })
    table.map(0n, pageRuns([0x20_0000, 0x20_0000]), RW)
    expect(grown).toEqual([[table.root, 1]])
    expect(table.tablePages).toBe(1)
  })

  test('gives back the old root where that was empty', () => {
    const { table, pages } = growing()
    table.map(0xffff_ffff_ffff_f000n, pageRuns([0x5000, 0x1000]), RW)
    const gather = flushGather()
    expect(table.unmap(0n, 1n << 64n, gather)).toBe(4096n)
    table.release(gather)
    expect([table.topLevel, table.tablePages, pages.allocated]).toEqual([5, 1, 4096])
  })

  test('knows nothing beyond its reach, and changes nothing there', () => {
    const { table } = growing()
    table.map(0x1000n, pageRuns([0x5000, 0x1000]), RW)
    expect(table.lookup(1n << 45n)).toBeUndefined()
    expect(table.unmap(1n << 45n, 4096n, flushGather())).toBe(0n)
    expect(table.unmap(0n, 1n << 45n, flushGather())).toBe(4096n)
    expect(table.topLevel).toBe(2)
  })

  test('a root that cannot be allocated leaves the table as it was', () => {
    const { table, pages, grown } = growing()
    table.map(0x1000n, pageRuns([0x5000, 0x1000]), RW)
    const before = pages.allocated
    pages.failAfter = 2
    expect(() => table.map(1n << 60n, pageRuns([0x7000, 0x1000]), RW)).toThrow('ENOMEM')
    expect([table.topLevel, pages.allocated, grown]).toEqual([2, before, []])
  })
})
