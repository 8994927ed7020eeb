import { flushGather, pageRuns } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { vtdss } from './formats/vtdss.ts'
import { SIZES, testWorld, type TestWorld } from './world.test-kit.ts'

const RW = { read: true, write: true }
const four = (): TestWorld => testWorld(vtdss, { topLevel: 3, pageSizes: SIZES | (1n << 40n) })

test('it names what it can hold', () => {
  const { table } = four()
  expect(table.aperture).toEqual({ first: 0n, last: 0xffff_ffff_ffffn })
  expect(table.pageSizes).toBe(SIZES)
  expect(testWorld(vtdss, { topLevel: 4, pageSizes: SIZES, iovaBits: 52 }).table.aperture.last).toBe(
    0xf_ffff_ffff_ffffn,
  )
})

test('attributes above bit 31 come as a bigint', () => {
  const w = testWorld(vtdss, { topLevel: 2, pageSizes: SIZES })
  w.table.map(0n, pageRuns([0x4000_0000, 0x4000_0000]), RW, (1n << 62n) | 0x800n)
  expect(w.entry(w.table.root, 0)).toBe(0x4000_0000_4000_0883n)
})

describe('a caller that breaks its promise gets a plain Error', () => {
  test.each([
    ['an iova that is not aligned', 0x800n, 0x1000, 0x1000],
    ['a target that is not aligned', 0x1000n, 0x1800, 0x1000],
    ['a length that is not whole pages', 0x1000n, 0x1000, 0x1800],
    ['a range beyond the aperture', 0xffff_ffff_f000n, 0x1000, 0x2000],
    ['a target beyond 52 bits', 0x1000n, 2 ** 52 - 0x1000, 0x2000],
  ])('%s', (_, iova, hpa, bytes) => {
    const { table } = four()
    expect(() => table.map(iova, pageRuns([hpa, bytes]), RW)).toThrow(/^page-table: /)
    expect(table.tablePages).toBe(1)
  })
  test('unmapping part of a page', () => {
    expect(() => four().table.unmap(0x1000n, 0x800n, flushGather())).toThrow(/^page-table: /)
  })
})

test('a table that cannot have its root is not made', () => {
  const w = four()
  w.pages.failAfter = 1
  expect(() => w.make()).toThrow('ENOMEM')
  expect(w.pages.allocated).toBe(4096)
})

test('unmapping no bytes, and mapping no runs, does nothing', () => {
  const { table } = four()
  expect(table.unmap(0x1000n, 0n, flushGather())).toBe(0n)
  table.map(0x1000n, pageRuns(), RW)
  expect(table.tablePages).toBe(1)
})
