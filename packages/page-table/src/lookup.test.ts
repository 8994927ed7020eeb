import { pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { vtdss } from './formats/vtdss.ts'
import { SIZES, testWorld } from './world.test-kit.ts'

test('an offset is kept inside pages of each size', () => {
  const { table } = testWorld(vtdss, { topLevel: 3, pageSizes: SIZES })
  table.map(0x3fdf_f000n, pageRuns([0x9000, 0x1000], [0xf_0000_0020_0000, 0x20_0000], [0x1c0_0000_0000, 0x4000_0000]), {
    read: true,
    write: true,
  })
  expect(table.lookup(0x3fdf_f123n)).toBe(0x9123)
  expect(table.lookup(0x3ff2_3456n)).toBe(0xf_0000_0032_3456)
  expect(table.lookup(0x7fed_cba9n)).toBe(0x1c0_3fed_cba9)
})

test('nothing lies outside the aperture', () => {
  const { table } = testWorld(vtdss, { topLevel: 2, pageSizes: SIZES })
  table.map(0n, pageRuns([0x9000, 0x1000]), { read: true, write: true })
  expect(table.lookup(1n << 39n)).toBeUndefined()
  expect(table.lookup(-1n)).toBeUndefined()
})

test('a look near a range leaves out pages beside it, and finds a large page from its midst', () => {
  const { table } = testWorld(vtdss, { topLevel: 3, pageSizes: (1n << 12n) | (1n << 21n) })
  table.map(0x20_0000n, pageRuns([0x40_0000, 0x20_0000]), { read: true, write: true }, 0)
  table.map(0x40_0000n, pageRuns([0x10_0000, 0x3000]), { read: true, write: true }, 0)
  const near = (first: bigint, last: bigint): readonly bigint[] => {
    const seen: bigint[] = []
    table.leaves((iova) => seen.push(iova), { first, last })
    return seen
  }
  expect(near(0x2f_0000n, 0x2f_0fffn)).toEqual([0x20_0000n])
  expect(near(0x3f_ffffn, 0x40_1000n)).toEqual([0x20_0000n, 0x40_0000n, 0x40_1000n])
  expect(near(0x40_3000n, 0xffff_ffff_ffff_ffffn)).toEqual([])
  expect(near(0n, 0x1f_ffffn)).toEqual([])
})
