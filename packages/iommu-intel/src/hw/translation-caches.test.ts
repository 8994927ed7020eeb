import { DmaRequest } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { CTX } from './context-cache.ts'
import { TranslationCaches } from './translation-caches.ts'

const request = (requester = 0x10): DmaRequest =>
  Object.assign(new DmaRequest(requester), { iovaLo: 0x4000_1000, access: 2 })
const flags = (domain: number, more = 0): number => CTX.VALID | (domain << 16) | more
const leaf = { flags: 3, frameHi: 0, frameLo: 0x200_0000 }

describe('a search', () => {
  test('finds a leaf of any size', () => {
    const caches = new TranslationCaches(false)
    caches.iotlb.huge.put(request(), caches.owner(flags(1), 0x10), leaf)
    expect(caches.find(request(0x18), flags(1), 2, false)).toBe(true)
    expect(caches.table).toBe(caches.iotlb.huge)
    expect(caches.find(request(), flags(2), 1, false)).toBe(false)
  })
  test('passes over a leaf without the permission, unless any will do', () => {
    const caches = new TranslationCaches(false)
    caches.iotlb.pages.put(request(), caches.owner(flags(1), 0x10), { ...leaf, flags: 1 })
    expect(caches.find(request(), flags(1), 1, false)).toBe(false)
    expect(caches.find(request(), flags(1), 1, true)).toBe(true)
  })
})

const moved = (): TranslationCaches => {
  const caches = new TranslationCaches(false)
  const entry = (domain: number): Int32Array => Int32Array.of(flags(domain), 0, 0, 0)
  caches.contexts.put(0x10, entry(1))
  caches.iotlb.pages.put(request(), caches.owner(flags(1), 0x10), leaf)
  caches.contexts.dropDevice(0x10, 0)
  caches.contexts.put(0x10, entry(5))
  return caches
}

describe('what a function filled before it moved to another domain', () => {
  test("is still its own, and nobody else's", () => {
    const caches = moved()
    expect(caches.find(request(), flags(5, CTX.MOVED), 1, false)).toBe(true)
    expect(caches.find(request(0x18), flags(5), 1, false)).toBe(false)
  })
  test('goes with the old domain or with everything', () => {
    const byDomain = moved()
    byDomain.dropIotlbDomain(1)
    expect(byDomain.find(request(), flags(5, CTX.MOVED), 1, false)).toBe(false)
    const all = moved()
    all.dropIotlb()
    expect(all.find(request(), flags(5, CTX.MOVED), 1, false)).toBe(false)
    expect(all.contexts.former.size).toBe(0)
  })
})
