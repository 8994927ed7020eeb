import { flushGather, pageRuns } from '@ioasis/core'
import { describePageTableFormat } from '@ioasis/testkit/kits'
import { expect, test } from 'vitest'
import { SIZES, testWorld } from '../world.test-kit.ts'
import { x86_64 } from './x86-64.ts'

describePageTableFormat({
  name: 'x86-64',
  geometries: {
    'four levels, lower half': () => testWorld(x86_64, { topLevel: 3, pageSizes: SIZES, iovaBits: 47 }),
    'four levels behind a CPU cache': () =>
      testWorld(x86_64, { topLevel: 3, pageSizes: SIZES }, { cache: true, flushWrites: true }),
    'five levels': () => testWorld(x86_64, { topLevel: 4, pageSizes: SIZES }),
    'five levels, lower half, 4 KiB pages only': () =>
      testWorld(x86_64, { topLevel: 4, pageSizes: 1n << 12n, iovaBits: 56 }),
  },
})

const target = (entry: bigint): number => Number(entry & 0x000f_ffff_ffff_f000n)

test('present, user, accessed and dirty are set beforehand', () => {
  const w = testWorld(x86_64, { topLevel: 3, pageSizes: SIZES })
  w.table.map(0x20_0000n, pageRuns([0x40_0000, 0x20_0000], [0x5000, 0x1000]), { read: true, write: true })
  w.table.map(0x40_1000n, pageRuns([0x7000, 0x1000]), { read: true, write: false })
  const first = w.entry(w.table.root, 0)
  expect(first & 0xfffn).toBe(0x27n)
  const directory = target(w.entry(target(first), 0))
  expect(w.entry(directory, 1)).toBe(0x40_00e7n)
  const leaves = target(w.entry(directory, 2))
  expect([0, 1].map((i) => w.entry(leaves, i))).toEqual([0x5067n, 0x7025n])
})

test('a page is dirty from the start, clean once its mark was taken', () => {
  const w = testWorld(x86_64, { topLevel: 3, pageSizes: SIZES })
  w.table.map(0x20_0000n, pageRuns([0x40_0000, 0x20_0000]), { read: true, write: true })
  const dirty = (clearing?: ReturnType<typeof flushGather>): [bigint, bigint][] => {
    const told: [bigint, bigint][] = []
    w.table.readDirty({ first: 0n, last: 0xffff_ffffn }, (iova, bytes) => told.push([iova, bytes]), clearing)
    return told
  }
  expect(dirty(flushGather())).toEqual([[0x20_0000n, 0x20_0000n]])
  expect(dirty()).toEqual([])
})
