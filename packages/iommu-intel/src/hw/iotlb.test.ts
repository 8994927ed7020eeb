import { bytesTogether, DmaRequest } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { domainOf, Iotlb, isWritable } from './iotlb.ts'

const request = (lo: number, hi = 0, requester = 0x10): DmaRequest =>
  Object.assign(new DmaRequest(requester), { iovaLo: lo | 0, iovaHi: hi })
const leaf = (frameLo: number, flags = 3): { flags: number; frameHi: number; frameLo: number } => ({
  flags,
  frameHi: 0,
  frameLo,
})
const DOMAIN = 7 << 16

describe('a table', () => {
  test('finds the leaf that covers an address', () => {
    const { pages, large } = new Iotlb(false)
    pages.put(request(0x1234_5678), DOMAIN, leaf(0x200_0000))
    large.put(request(0x4021_2345, 3), DOMAIN, leaf(0x220_0000))
    expect(pages.find(0, 0x1234_5fff, DOMAIN)).toBeGreaterThanOrEqual(0)
    expect(pages.find(0, 0x1234_6000, DOMAIN)).toBe(-1)
    expect(pages.find(1, 0x1234_5678, DOMAIN)).toBe(-1)
    expect(pages.find(0, 0x1234_5678, 8 << 16)).toBe(-1)
    expect(large.find(3, 0x403f_ffff, DOMAIN)).toBeGreaterThanOrEqual(0)
  })
  test('puts a leaf over the old one with the same address', () => {
    const { pages } = new Iotlb(false)
    const first = pages.put(request(0x1000), DOMAIN, leaf(0x200_0000, 1))
    expect(pages.put(request(0x1000), DOMAIN, leaf(0x200_1000, 3))).toBe(first)
    expect(Array.from(pages.entries())).toHaveLength(1)
  })
  test('gives up one entry of a full set', () => {
    const { pages } = new Iotlb(false)
    for (let i = 0; i < 5; i++) pages.put(request(i * 512 * 4096), DOMAIN, leaf(i * 4096))
    expect(Array.from(pages.entries())).toHaveLength(4)
    expect(pages.find(0, 4 * 512 * 4096, DOMAIN)).toBeGreaterThanOrEqual(0)
  })
})

const KIB64 = 0x1_0000
/** 32 neighbours from `iova` on, on as many frames from `frame` on; changed by `differ` where a test wants it. */
const neighbours = (iova: number, frame: number, differ: (i: number) => object = () => ({})): Int32Array => {
  const { pages } = new Iotlb(false)
  for (let i = 0; i < 32; i++)
    pages.put(request(iova + i * 4096), DOMAIN, { ...leaf((frame + i * 4096) | 0), ...differ(i) })
  return pages.words
}
const together = (words: Int32Array, length: number, left = 4096): number =>
  bytesTogether(words, words.indexOf(0x10_0000), left, length)

describe('pages behind a hit', () => {
  test('are joined up to what is wanted, and up to 64 KiB', () => {
    const words = neighbours(0x10_0000, 0x200_0000)
    expect(together(words, 5000, 96)).toBe(5000)
    expect(together(words, 2 ** 20)).toBe(KIB64)
  })
  test('are not joined when one is missing, lies elsewhere, or allows something else', () => {
    const missing = neighbours(0x10_0000, 0x200_0000)
    missing[missing.indexOf(0x10_3000) + 3] = 0
    expect(together(missing, KIB64)).toBe(3 * 4096)
    const elsewhere = neighbours(0x10_0000, 0x200_0000, (i) => (i === 5 ? { frameHi: 1 } : {}))
    expect(together(elsewhere, KIB64)).toBe(5 * 4096)
    const readOnly = neighbours(0x10_0000, 0x200_0000, (i) => (i === 2 ? { flags: 1 } : {}))
    expect(together(readOnly, KIB64)).toBe(2 * 4096)
  })
  test('are not joined across 4 GiB of either address', () => {
    const frames = neighbours(0x10_0000, 0xffff_e000)
    expect(together(frames, KIB64)).toBe(2 * 4096)
    const { pages } = new Iotlb(false)
    const at = pages.put(request(0xffff_f000), DOMAIN, leaf(0x200_0000))
    pages.put(request(0), DOMAIN, leaf(0x200_1000))
    expect(bytesTogether(pages.words, at, 4096, KIB64)).toBe(4096)
  })
  test('are found in any way of their sets', () => {
    const { pages } = new Iotlb(false)
    for (let way = 3; way >= 0; way--) {
      for (let i = 0; i < 2; i++)
        pages.put(request(way * 512 * 4096 + i * 4096), DOMAIN, leaf((way * 2 + i) * 4096 + 0x200_0000))
    }
    const found = [0, 1, 2, 3].map((way) =>
      bytesTogether(pages.words, pages.find(0, way * 512 * 4096, DOMAIN), 4096, KIB64),
    )
    expect(found).toEqual([8192, 8192, 8192, 8192])
  })
})

const filled = (): Iotlb => {
  const iotlb = new Iotlb(false)
  for (let i = 0; i < 16; i++) iotlb.pages.put(request(0x10_0000 + i * 4096), DOMAIN, leaf(0x200_0000))
  iotlb.pages.put(request(0x10_0000), 8 << 16, leaf(0x200_0000))
  iotlb.large.put(request(0), DOMAIN, leaf(0))
  iotlb.huge.put(request(0), DOMAIN, leaf(0))
  return iotlb
}
const pagesLeft = (iotlb: Iotlb): number => Array.from(iotlb.pages.entries()).length
const left = (iotlb: Iotlb): number => Array.from(iotlb.entries()).length

describe('drops', () => {
  test('everything', () => {
    const iotlb = filled()
    iotlb.dropAll()
    expect(left(iotlb)).toBe(0)
  })
  test('one domain', () => {
    const iotlb = filled()
    iotlb.dropDomain(7)
    expect(Array.from(iotlb.entries(), (e) => domainOf(e.owner))).toEqual([8])
  })
  test('one page, and every larger leaf over it', () => {
    const iotlb = filled()
    iotlb.dropPages(7, 0, 0x10_3000, 0)
    expect([pagesLeft(iotlb), left(iotlb)]).toEqual([16, 16])
  })
  test('an aligned range, whatever page of it is named', () => {
    const few = filled()
    few.dropPages(7, 0, 0x10_5000, 2)
    expect(pagesLeft(few)).toBe(13)
    const many = filled()
    many.dropPages(7, 0, 0x10_5000, 9)
    expect(pagesLeft(many)).toBe(1)
    const others = filled()
    others.dropPages(7, 0, 0x20_0000, 9)
    expect([pagesLeft(others), left(others)]).toEqual([17, 18])
  })
  test('a range beyond 4 GiB', () => {
    const iotlb = new Iotlb(false)
    iotlb.pages.put(request(0x1000, 5), DOMAIN, leaf(0))
    iotlb.dropPages(7, 2, 0, 20)
    expect(left(iotlb)).toBe(1)
    iotlb.dropPages(7, 4, 0, 21)
    expect(left(iotlb)).toBe(0)
  })
  test('a page of every requester, where requesters own entries', () => {
    const iotlb = new Iotlb(true)
    iotlb.pages.put(request(0x1000), DOMAIN | 0x10, leaf(0))
    iotlb.pages.put(request(0x1000), DOMAIN | 0x18, leaf(0))
    iotlb.dropPages(7, 0, 0x1000, 0)
    expect(left(iotlb)).toBe(0)
  })
})

test('says which leaves may be written', () => {
  expect([isWritable(1), isWritable(2), isWritable(3)]).toEqual([false, true, true])
})
