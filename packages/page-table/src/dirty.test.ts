import { flushGather, pageRuns, type Prot } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { amdv1 } from './formats/amdv1.ts'
import { vtdss } from './formats/vtdss.ts'
import { type TestWorld, testWorld } from './world.test-kit.ts'

const RW: Prot = { read: true, write: true }
const ALL = { first: 0n, last: 0xff_ffff_ffffn }

/** Sets dirty in the smallest-page entry of an iova below 2 MiB, as hardware does. */
function mark(w: TestWorld, levels: number, bit: bigint, index: number): void {
  let table = w.table.root
  for (let l = levels - 1; l > 0; l--) table = Number(w.entry(table, 0) & 0x000f_ffff_ffff_f000n)
  w.cpu.store(table + 8 * index, 8, w.entry(table, index) | bit)
}
function read(w: TestWorld, range = ALL, clearing?: ReturnType<typeof flushGather>): [bigint, bigint][] {
  const told: [bigint, bigint][] = []
  w.table.readDirty(range, (iova, bytes) => told.push([iova, bytes]), clearing)
  return told
}

describe.each([{ cache: false }, { cache: true }])('behind a CPU cache: $cache', ({ cache }) => {
  const world = () => testWorld(vtdss, { topLevel: 3, pageSizes: 4096n }, { cache, flushWrites: cache })

  test('tells pages behind each other once, and keeps their marks', () => {
    const w = world()
    w.table.map(0n, pageRuns([0x10_0000, 0x20_0000]), RW)
    for (const page of [3, 4, 5, 511]) mark(w, 4, 1n << 9n, page)
    const all = read(w).flatMap(([iova, bytes]) =>
      Array.from({ length: Number(bytes) / 4096 }, (_, i) => Number(iova) / 4096 + i),
    )
    expect(all).toEqual([3, 4, 5, 511])
    expect(read(w)).toEqual(read(w))
  })

  test('takes marks away and gathers what must be flushed', () => {
    const w = world()
    w.table.map(0n, pageRuns([0x10_0000, 0x20_0000]), RW)
    for (const page of [3, 9]) mark(w, 4, 1n << 9n, page)
    const gather = flushGather()
    expect(read(w, { first: 0x4000n, last: 0xffff_ffffn }, gather)).toEqual([[0x9000n, 0x1000n]])
    expect([gather.first, gather.last]).toEqual([0x9000n, 0x9fffn])
    expect(read(w)).toEqual([[0x3000n, 0x1000n]])
  })
})

test('a page of several entries is dirty when any of them is marked; its last entry is not told, as in Linux', () => {
  const w = testWorld(amdv1, { topLevel: 2, growsTo: 5, pageSizes: (1n << 20n) - 4096n })
  w.table.map(0x8000n, pageRuns([0x1_0000, 0x8000]), RW)
  mark(w, 3, 1n << 6n, 13)
  expect(read(w)).toEqual([[0x8000n, 0x7000n]])
  expect(read(w, { first: 0xa000n, last: 0xbfffn })).toEqual([[0xa000n, 0x2000n]])
  expect(read(w, { first: 0xf000n, last: 0xffffn })).toEqual([])
  expect(read(w, { first: 1n << 60n, last: 1n << 61n })).toEqual([])
  expect(read(w, ALL, flushGather())).toHaveLength(1)
  expect(read(w)).toEqual([])
})

test('a format without such a mark is refused', () => {
  const { dirty: _, ...format } = amdv1
  expect(() => read(testWorld(format, { topLevel: 2, pageSizes: 4096n }))).toThrow('does not tell dirty pages')
})
