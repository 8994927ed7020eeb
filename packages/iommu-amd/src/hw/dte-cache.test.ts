import { expect, test } from 'vitest'
import { DTE, DteCache } from './dte-cache.ts'

const entry = (flags: number): Int32Array => Int32Array.of(flags | DTE.CACHED, ...Array<number>(15).fill(0))

test('functions with host tables are recalled while the unit is on', () => {
  const cache = new DteCache(false)
  cache.put(0x110, entry(DTE.TABLES | (7 << 16)))
  expect(cache.recall(0x110)).toBe(false)
  cache.switch(true)
  expect([cache.recall(0x110), cache.recent, cache.recentOwner]).toEqual([true, 0x110, 7])
  cache.put(0x111, entry(DTE.PASS))
  expect([cache.recall(0x111), cache.recall(0x112)]).toEqual([false, false])
})
test('a dropped entry is not recalled', () => {
  const cache = new DteCache(false)
  cache.switch(true)
  cache.put(0x110, entry(DTE.TABLES))
  cache.put(0x210, entry(DTE.TABLES))
  cache.drop(0x110)
  expect([cache.recall(0x110), cache.recent, cache.size]).toEqual([false, -1, 1])
  cache.dropAll()
  expect(cache.size).toBe(0)
})
test("QEMU's functions are recalled once activated, by requester", () => {
  const cache = new DteCache(true)
  cache.switch(true)
  expect(cache.recall(0x110)).toBe(false)
  cache.activate(0x110, true)
  expect([cache.recall(0x110), cache.recentOwner]).toEqual([true, 0x110])
})
