import { RandomSource } from '@ioasis/testkit'
import { beforeEach, describe, expect, test } from 'vitest'
import { Area, type Slice } from './area.ts'
import { IovaSpace } from './iova-space.ts'
import type { Pages } from './pages.ts'
import { placeArea } from './placement.ts'
import { U64_MAX } from './uapi.ts'
import { errnoOf } from './world.test-kit.ts'

let space: IovaSpace
const pages = { origin: 0x7000_0000_0000n } as Pages
const slice = (bytes: bigint): Slice => ({ pages, page: 0, offset: 0, bytes })
const put = (first: bigint, last: bigint, offset = 0): boolean =>
  space.areas.insert(first, last, new Area(pages, 0, offset, 6))
beforeEach(() => {
  space = new IovaSpace(4096)
})

test('a place is checked for alignment, the end of all iovas, reserved ranges and areas, in this order', () => {
  space.alignment = 4096
  space.reserve(0x8000n, 0x8fffn, space)
  put(0x9000n, 0x9fffn)
  const check = (iova: bigint, bytes: bigint): unknown => errnoOf(() => space.check(iova, bytes))
  expect([
    check(U64_MAX - 0xeffn, 0x4000n),
    check(U64_MAX - 0xfffn, 0x2000n),
    check(0x7000n, 0x4000n),
    check(0x9000n, 0x1000n),
    check(0xa000n, 0x1000n),
  ]).toEqual(['EINVAL', 'EOVERFLOW', 'EINVAL', 'EEXIST', undefined])
})

test('neither areas nor allowed ranges can be reserved over', () => {
  put(0x1000n, 0x1fffn)
  expect(errnoOf(() => space.reserve(0x1fffn, 0x2fffn, space))).toBe('EADDRINUSE')
  space.reserve(0x2000n, 0x2fffn, space)
  expect(space.usable()).toEqual([
    { first: 0n, last: 0x1fffn },
    { first: 0x3000n, last: U64_MAX },
  ])
})

test('an area that is not aligned stands in the way of more alignment', () => {
  put(0x1000n, 0x1fffn)
  expect(errnoOf(() => space.requireAlignment(4096))).toBeUndefined()
  put(0x3000n, 0x3fffn, 0x800)
  expect(errnoOf(() => space.requireAlignment(4096))).toBe('EADDRINUSE')
})

describe('what automatic placement remembers', () => {
  test.each([1, 2, 3])('changes no choice, seed %i', (seed) => {
    const random = new RandomSource(seed)
    for (let i = 0; i < 400; i++) {
      const bytes = BigInt(1 + random.below(5)) * 0x1000n
      const used = [...space.areas.within()]
      if (used.length > 0 && random.chance(2, 5)) {
        const { first } = random.pick(used)
        space.areas.remove(first)
        space.emptied(first)
        continue
      }
      const request = { bytes, source: pages.origin, alignment: 1, pageBytes: 4096 }
      const { areas, reserved } = space
      const plain = placeArea({
        ...request,
        full: 4096n,
        allowed: new IovaSpace(4096).areas,
        areas,
        reserved: reserved.union,
      })
      const at = space.place(slice(bytes), bytes)
      expect(at).toBe(plain)
      put(at, at + bytes - 1n)
    }
  })
})
