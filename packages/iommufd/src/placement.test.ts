import { IntervalMap } from '@ioasis/core'
import { expect, test } from 'vitest'
import { placeArea, type PlacementRequest } from './placement.ts'
import { errnoOf } from './world.test-kit.ts'

const areas = (...ranges: readonly (readonly [bigint, bigint])[]): IntervalMap<unknown> => {
  const map = new IntervalMap<unknown>()
  for (const [first, last] of ranges) map.insert(first, last, true)
  return map
}
const place = (request: Partial<PlacementRequest>): bigint =>
  placeArea({
    bytes: 0x1000n,
    source: 0x7000_0000_0000n,
    alignment: 1,
    pageBytes: 4096,
    full: 0x1000n,
    allowed: areas(),
    reserved: areas(),
    areas: areas(),
    ...request,
  })

test('takes the lowest place, never the first page', () => {
  expect(place({})).toBe(0x1000n)
  expect(place({ areas: areas([0x1000n, 0x1fffn], [0x3000n, 0x3fffn]) })).toBe(0x2000n)
  expect(place({ areas: areas([0x1000n, 0x1fffn]), reserved: areas([0x2000n, 0x4fffn]) })).toBe(0x5000n)
})

test('is aligned to a power of two that covers the length, at most to 2 MiB', () => {
  expect(place({ bytes: 0x3000n })).toBe(0x4000n)
  expect(place({ bytes: 0x40_0000n, areas: areas([0x1000n, 0x40_0fffn]) })).toBe(0x60_0000n)
})

test('keeps the place within a page that the memory has', () => {
  expect(place({ source: 0x7000_0000_0123n, bytes: 0x10n })).toBe(0x1123n)
})

test('memory that is less aligned than the IOAS cannot be placed', () => {
  expect(errnoOf(() => place({ source: 0x7000_0000_0800n, alignment: 4096 }))).toBe('EINVAL')
})

test('keeps to the allowed ranges, and says when they are full', () => {
  const allowed = areas([0x10000n, 0x10fffn])
  expect(place({ allowed })).toBe(0x10000n)
  expect(errnoOf(() => place({ allowed, areas: areas([0x10000n, 0x10fffn]) }))).toBe('ENOSPC')
  expect(errnoOf(() => place({ allowed, bytes: 0x2000n }))).toBe('ENOSPC')
})

test('no bytes, or half of all there are, overflow', () => {
  expect(errnoOf(() => place({ bytes: 0n }))).toBe('EOVERFLOW')
  expect(errnoOf(() => place({ bytes: 1n << 63n }))).toBe('EOVERFLOW')
})
