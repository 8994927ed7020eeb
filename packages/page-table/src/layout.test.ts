import { describe, expect, test } from 'vitest'
import { vtdss } from './formats/vtdss.ts'
import { indexAt, layoutOf, type Level, swap32 } from './layout.ts'
import { SIZES } from './world.test-kit.ts'

const shifts = (topLevel: number, pageSizes: bigint): number[] =>
  layoutOf(vtdss, { topLevel, pageSizes }).sizes.map((size) => size.shift)

const level = (l: number): Level => layoutOf(vtdss, { topLevel: 4, pageSizes: SIZES }).levels[l] as Level

describe('layoutOf', () => {
  test('page sizes come largest first, and only those the levels have', () => {
    expect(shifts(3, SIZES)).toEqual([30, 21, 12])
    expect(shifts(3, SIZES | (1n << 39n) | (1n << 13n))).toEqual([30, 21, 12])
    expect(shifts(1, SIZES)).toEqual([21, 12])
  })
  test('an iova is as wide as the levels, or narrower when asked', () => {
    expect(layoutOf(vtdss, { topLevel: 3, pageSizes: SIZES }).iovaBits).toBe(48)
    expect(layoutOf(vtdss, { topLevel: 3, pageSizes: SIZES, iovaBits: 39 }).iovaBits).toBe(39)
    expect(layoutOf(vtdss, { topLevel: 2, pageSizes: SIZES, iovaBits: 57 }).iovaBits).toBe(39)
  })
  test('a geometry that the format cannot have is refused', () => {
    expect(() => layoutOf(vtdss, { topLevel: 5, pageSizes: SIZES })).toThrow('no level 5')
    expect(() => layoutOf(vtdss, { topLevel: 3, pageSizes: 1n << 13n })).toThrow('no page size')
    expect(() => layoutOf(vtdss, { topLevel: 3, pageSizes: (1n << 12n) | (1n << 30n) })).toThrow('level 1 lacks pages')
    const wide = { ...vtdss, tableShift: 11 }
    expect(() => layoutOf(wide, { topLevel: 3, pageSizes: SIZES })).toThrow('outgrows its table')
  })
})

test('an index is cut out below, across and above bit 32', () => {
  const hi = 0x01ab_cdef
  const lo = 0x9876_5432 | 0
  expect([0, 1, 2, 3, 4].map((l) => indexAt(level(l), hi, lo))).toEqual([0x165, 0x0c3, 0x1be, 0x19b, 0x1ab])
})

test('swap32 reverses bytes', () => {
  expect(swap32(0x1234_56f8) >>> 0).toBe(0xf856_3412)
  expect(swap32(swap32(-2))).toBe(-2)
})
