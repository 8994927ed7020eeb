import { bytesTogether } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { Iotlb, IotlbTable } from './iotlb.ts'

const owner = (domain: number, pasid = -1): { owner: number; domain: number; pasid: number } => ({
  owner: domain,
  domain,
  pasid,
})
const leaf = (frameLo: number, flags = 3): { flags: number; frameHi: number; frameLo: number } => ({
  flags,
  frameHi: 0,
  frameLo,
})

describe('one leaf size', () => {
  test('an entry serves its domain and PASID only', () => {
    const table = new IotlbTable(12, 16)
    table.put(0, 0x5000, owner(1, 7), leaf(0x9000))
    expect([table.find(0, 0x5abc, 1, 7) >= 0, table.find(0, 0x5000, 2, 7), table.find(0, 0x5000, 1, 8)]).toEqual([
      true,
      -1,
      -1,
    ])
  })
  test('sizes above 4 GiB are tagged by the upper word', () => {
    const table = new IotlbTable(39, 16)
    table.put(0x80, 0x1234, owner(1), leaf(0))
    expect([table.find(0xff, -1, 1, -1) >= 0, table.find(0x100, 0, 1, -1)]).toEqual([true, -1])
    table.dropRange(1, -1, 0x90, 0x5000, 12)
    expect(table.find(0x80, 0, 1, -1)).toBe(-1)
  })
  test('a fifth leaf of a set takes the place of one', () => {
    const table = new IotlbTable(12, 1)
    for (let i = 0; i < 5; i++) table.put(0, i << 12, owner(1), leaf(0x9000))
    expect([...table.entries()].length).toBe(4)
  })
})
test('an invalidation drops every leaf that overlaps its range, and no other', () => {
  const iotlb = new Iotlb(false)
  iotlb.pages.put(0, 0x1000, owner(1), leaf(0x1000))
  iotlb.pages.put(0, 0x9000, owner(1), leaf(0x1000))
  iotlb.pages.put(0, 0x1000, owner(2), leaf(0x1000))
  iotlb.table(21).put(0, 0, owner(1), leaf(0))
  iotlb.table(16).put(0, 0x2_0000, owner(1), leaf(0))
  iotlb.dropRange(1, -1, 0, 0x1000, 13)
  expect(Array.from(iotlb.entries(), (e) => [e.domain, e.iova, e.bytes])).toEqual([
    [1, 0x9000n, 0x1000n],
    [2, 0x1000n, 0x1000n],
    [1, 0x2_0000n, 0x1_0000n],
  ])
})
test('pages that follow one another are joined while they are contiguous and allow the same', () => {
  const { pages } = new Iotlb(false)
  for (const [iova, hpa, flags] of [
    [0, 0x1_0000, 3],
    [0x1000, 0x1_1000, 3],
    [0x2000, 0x1_2000, 1],
  ] as const)
    pages.put(0, iova, owner(1), leaf(hpa, flags))
  expect(bytesTogether(pages.words, pages.find(0, 0, 1, -1), 0x1000, 0x3000)).toBe(0x2000)
})
