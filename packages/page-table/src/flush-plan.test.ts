import { type FlushGather, flushGather } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { flushPlan } from './flush-plan.ts'

const gathered = (first: bigint, last: bigint): FlushGather => ({ ...flushGather(), first, last, granule: 4096 })
const able = { pageSelective: true, maxMask: 18 }

describe('flushPlan', () => {
  test('an empty gather needs no invalidation', () => {
    expect(flushPlan(flushGather(), able)).toEqual([])
    expect(flushPlan(flushGather(), { pageSelective: false, maxMask: 0 })).toEqual([])
  })
  test.each([
    ['one page', 0x1000n, 0x1fffn, 0x1000n, 0],
    ['two pages that are aligned', 0x2000n, 0x3fffn, 0x2000n, 1],
    ['two pages across a border of eight', 0x7000n, 0x8fffn, 0x0n, 4],
    ['three pages', 0x1000n, 0x3fffn, 0x0n, 2],
    ['a superpage', 0xffff_ffe0_0000n, 0xffff_ffff_ffffn, 0xffff_ffe0_0000n, 9],
    ['both sides of 4 GiB, seen from above', 0x1_0000_0000n, 0x1_3fff_ffffn, 0x1_0000_0000n, 18],
  ])('%s: one aligned range covers it', (_, first, last, iova, order) => {
    expect(flushPlan(gathered(first, last), able)).toEqual([{ iova, order }])
  })
  test('a range beyond the largest mask flushes the domain', () => {
    expect(flushPlan(gathered(0x0n, 0x7fff_ffffn), able)).toBe('domain')
    expect(flushPlan(gathered(0xffff_f000n, 0x1_0000_0fffn), able)).toBe('domain')
    expect(flushPlan(gathered(0x0n, 0x7fff_ffffn), { pageSelective: true, maxMask: 19 })).toEqual([
      { iova: 0n, order: 19 },
    ])
    expect(flushPlan(gathered(0n, 2n ** 64n - 1n), { pageSelective: true, maxMask: 51 })).toBe('domain')
  })
  test('a unit without page-selective invalidation flushes the domain', () => {
    expect(flushPlan(gathered(0x1000n, 0x1fffn), { pageSelective: false, maxMask: 18 })).toBe('domain')
  })
})
