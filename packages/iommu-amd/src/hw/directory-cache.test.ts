import { expect, test } from 'vitest'
import { DirectoryCache } from './directory-cache.ts'

const made = (): DirectoryCache => {
  const cache = new DirectoryCache()
  cache.put(1, 0x7f, 0x4020_0000, 0x3, 0x11_3000, 2)
  return cache
}
test('a table is found from every address of its 2 MiB, by its domain', () => {
  const cache = made()
  expect([cache.find(1, 0x7f, 0x403f_f000), cache.tableHi, cache.tableLo, cache.permitted]).toEqual([
    true,
    3,
    0x11_3000,
    2,
  ])
  expect([cache.find(2, 0x7f, 0x4020_0000), cache.find(1, 0x7f, 0x4040_0000)]).toEqual([false, false])
})
test('what does not permit anything is kept all the same', () => {
  const cache = new DirectoryCache()
  cache.put(1, 0, 0, 0, 0, 0)
  expect([cache.find(1, 0, 0x1000), cache.permitted]).toEqual([true, 0])
})
test.each([
  [0x7f, 0x4020_5000, 12, false],
  [0x7f, 0x4040_0000, 12, true],
  [0x7f, 0x4000_0000, 30, false],
  [0x7e, 0x4000_0000, 30, true],
  [0, 0, 64, false],
])('an invalidation at %i:%i of 2^%i bytes', (hi, lo, order, remains) => {
  const cache = made()
  cache.dropRange(1, hi, lo, order)
  expect(cache.find(1, 0x7f, 0x4020_0000)).toBe(remains)
})
test('a fifth table of a set takes the place of one', () => {
  const cache = new DirectoryCache()
  for (let i = 0; i < 5; i++) cache.put(1, i << 8, i << 29, 0, 0x1000, 3)
  expect([0, 1, 2, 3, 4].filter((i) => cache.find(1, i << 8, i << 29)).length).toBeGreaterThan(3)
  cache.dropAll()
  expect(cache.find(1, 0, 0)).toBe(false)
})
