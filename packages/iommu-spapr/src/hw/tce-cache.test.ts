import { beforeEach, describe, expect, test } from 'vitest'
import { ownerOf, TceCache } from './tce-cache.ts'

/** Window 1 of endpoint 3, pages of 4 KiB. */
const OWNER = ownerOf(7, 12)
/** Pages of one set: 512 sets of 4 KiB apart. */
const SAME_SET = 512 << 12
let cache: TceCache

beforeEach(() => {
  cache = new TceCache()
})
const put = (lo: number, owner: number = OWNER): void => cache.put(0x800_0000, lo, owner, 0, lo | 3)
const has = (lo: number, owner: number = OWNER): boolean => cache.find(0x800_0000, lo, owner) >= 0

test('an entry is found by every address of its page, of its window, with its page size', () => {
  put(0x5008)
  expect([has(0x5fff), has(0x6000), has(0x5000, ownerOf(6, 12)), has(0x5000, ownerOf(7, 16))]).toEqual([
    true,
    false,
    false,
    false,
  ])
})
test('a set holds two entries; the third takes the place of the first, the fourth that of the second', () => {
  for (let i = 0; i < 3; i++) put(i * SAME_SET)
  expect([0, 1, 2].map((i) => has(i * SAME_SET))).toEqual([false, true, true])
  put(3 * SAME_SET)
  expect([1, 2, 3].map((i) => has(i * SAME_SET))).toEqual([false, true, true])
})
test('an entry put again takes no second place', () => {
  put(0)
  put(SAME_SET)
  put(0)
  expect(cache.claims('phb0')).toHaveLength(2)
})
test('an entry of more than 1 GiB stands for 1 GiB', () => {
  expect(ownerOf(7, 34)).toBe(ownerOf(7, 30))
  put(0x4000_0008, ownerOf(7, 34))
  expect([has(0x7fff_ffff, ownerOf(7, 34)), has(0x3fff_ffff, ownerOf(7, 34))]).toEqual([true, false])
})

describe('entries are dropped', () => {
  const FIRST = 0x800_0000_0000_0000n
  beforeEach(() => {
    put(0x1000)
    put(0x2000)
    put(0x1000, ownerOf(8, 12))
  })

  test('one by one', () => {
    cache.drop(0x800_0000, 0x1234, OWNER)
    expect([has(0x1000), has(0x2000)]).toEqual([false, true])
  })
  test('by the pages that a range touches, of one endpoint', () => {
    cache.dropRange(3, FIRST + 0x1fffn, FIRST + 0x1fffn)
    expect([has(0x1000), has(0x2000), has(0x1000, ownerOf(8, 12))]).toEqual([false, true, true])
  })
  test('by their endpoint, with both windows', () => {
    put(0x3000, ownerOf(6, 16))
    cache.dropEndpoint(3)
    expect(cache.claims('phb0')).toMatchObject([{ tag: 8, iova: FIRST + 0x1000n, bytes: 0x1000n }])
  })
  test('all', () => {
    cache.dropAll()
    expect(cache.claims('phb0')).toEqual([])
  })
})
