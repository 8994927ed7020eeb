import { describe, expect, test } from 'vitest'
import { ContextCache, CTX, ctxDomain, ctxLevels } from './context-cache.ts'

const entry = (domain: number, flags: number = CTX.VALID): Int32Array =>
  Int32Array.of(flags | (4 << 4) | (domain << 16), 0x1000, 0, -0x10000)
const flagsOf = (cache: ContextCache, bdf: number): number =>
  (cache.buses[bdf >>> 8] as Int32Array)[(bdf & 0xff) << 2] as number
/** Functions the tests of `drops` fill: the first three in domain 1, the others in 2. */
const FUNCTIONS = [0x10, 0x11, 0x12, 0x14, 0x17, 0x18]
const filled = (): ContextCache => {
  const cache = new ContextCache()
  for (const bdf of FUNCTIONS) cache.put(bdf, entry(bdf < 0x14 ? 1 : 2))
  return cache
}
const left = (cache: ContextCache): number[] => FUNCTIONS.filter((bdf) => flagsOf(cache, bdf) & CTX.VALID)

test('keeps entries by bus and function', () => {
  const cache = new ContextCache()
  cache.put(0x0010, entry(1))
  cache.put(0x0110, entry(0xffff))
  expect([ctxDomain(flagsOf(cache, 0x0010)), ctxDomain(flagsOf(cache, 0x0110))]).toEqual([1, 0xffff])
  expect(ctxLevels(flagsOf(cache, 0x0110))).toBe(4)
  expect(flagsOf(cache, 0x0210)).toBe(0)
  expect(cache.size).toBe(2)
})

/** Whom the cache still remembers after a change. */
const rememberedAfter = (change: (cache: ContextCache) => void): number => {
  const cache = new ContextCache()
  cache.put(0x10, entry(1))
  cache.recall(0x10)
  change(cache)
  return cache.recent
}

describe('remembers', () => {
  test('the requester asked for last, with the owner word of its leaves', () => {
    const cache = new ContextCache(0xffff)
    cache.put(0x10, entry(3))
    expect([cache.recall(0x10), cache.recent, cache.recentOwner]).toEqual([true, 0x10, 0x3_0010])
  })
  test('nobody without an entry, who passes through, or who has just moved', () => {
    const cache = new ContextCache()
    cache.put(0x11, entry(3, CTX.VALID | CTX.PASS_THROUGH))
    cache.put(0x12, entry(3, CTX.VALID | CTX.MOVED))
    expect([cache.recall(0x10), cache.recall(0x11), cache.recall(0x12), cache.recent]).toEqual([
      false,
      false,
      false,
      -1,
    ])
  })
  test('nobody any more once an entry was put or dropped', () => {
    expect(rememberedAfter((cache) => cache.put(0x10, entry(2)))).toBe(-1)
    expect(rememberedAfter((cache) => cache.dropDevice(0x10, 0))).toBe(-1)
    expect(rememberedAfter((cache) => cache.dropDomain(1))).toBe(-1)
    expect(rememberedAfter((cache) => cache.dropAll())).toBe(-1)
    expect(rememberedAfter((cache) => cache.reset())).toBe(-1)
  })
})

describe('drops', () => {
  test('everything', () => {
    const cache = filled()
    cache.dropAll()
    expect(left(cache)).toEqual([])
  })
  test('one domain', () => {
    const cache = filled()
    cache.dropDomain(1)
    expect(left(cache)).toEqual([0x14, 0x17, 0x18])
  })
  test('one function', () => {
    const cache = filled()
    cache.dropDevice(0x11, 0)
    expect(left(cache)).toEqual([0x10, 0x12, 0x14, 0x17, 0x18])
  })
  test('functions that differ in the masked bits: the highest one, two, all three', () => {
    const one = filled()
    one.dropDevice(0x10, 1)
    expect(left(one)).toEqual([0x11, 0x12, 0x17, 0x18])
    const two = filled()
    two.dropDevice(0x10, 2)
    expect(left(two)).toEqual([0x11, 0x17, 0x18])
    const three = filled()
    three.dropDevice(0x10, 3)
    expect(left(three)).toEqual([0x18])
  })
})

describe('a function that changes its domain', () => {
  test('is marked until the old domain is forgotten', () => {
    const cache = new ContextCache()
    cache.put(0x10, entry(1))
    cache.dropDevice(0x10, 0)
    expect(cache.former.get(0x10)).toBe(1)
    cache.put(0x10, entry(5))
    expect(flagsOf(cache, 0x10) & CTX.MOVED).toBe(CTX.MOVED)
    cache.forgetFormer(1)
    cache.settled(0x10, flagsOf(cache, 0x10))
    expect(flagsOf(cache, 0x10) & CTX.MOVED).toBe(0)
  })
  test('is not marked when it comes back to the same one, or when the old one was forgotten before', () => {
    const cache = new ContextCache()
    cache.put(0x10, entry(1))
    cache.dropAll()
    cache.put(0x10, entry(1))
    expect(flagsOf(cache, 0x10) & CTX.MOVED).toBe(0)
    cache.dropAll()
    cache.forgetFormer(1)
    cache.put(0x10, entry(2))
    expect(flagsOf(cache, 0x10) & CTX.MOVED).toBe(0)
  })
})
