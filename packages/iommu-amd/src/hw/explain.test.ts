import { DmaRequest } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, FULL, RW } from './bare-unit.test-kit.ts'

const IOVA = 0x1234_5000n

describe('explaining', () => {
  test('tells every entry', () => {
    const unit = new BareUnit().fourLevels()
    const told = unit.unit.explain(unit.request(IOVA + 8n))
    expect(told.entries.map(({ name, hpa }) => [name, hpa])).toEqual([
      ['device table entry', 0x30_0200],
      ['I/O page table entry, level 4', 0x11_0000],
      ['I/O page table entry, level 3', 0x11_1000],
      ['I/O page table entry, level 2', 0x11_2488],
      ['I/O page table entry, level 1', 0x11_3a28],
    ])
    expect(told).toMatchObject({ status: 0, hpa: 0x200_0008, pageBytes: 4096, verdict: 'the tables lead to 0x2000008' })
  })
  test('names a stale leaf and a stale device table entry', () => {
    const unit = new BareUnit().fourLevels()
    unit.ask(IOVA)
    unit.put(0x11_3a28, RW | 0x200_1001n)
    expect(unit.unit.explain(unit.request(IOVA)).verdict).toContain('a stale IOTLB entry leads to 0x2000000')
    unit.device(0x10, 0n)
    expect(unit.unit.explain(unit.request(IOVA)).verdict).toContain('by the device table cache')
  })
  test('walks guest tables without marking them', () => {
    const unit = new BareUnit(FULL, 1n << 16n).device(0x10, RW | (1n << 55n) | 3n, (0x22n << 16n) | 1n)
    unit.put(0x11_0008, 0x11_1001n).put(0x11_1000, 0x11_2007n).put(0x11_2000, 0x87n)
    const told = unit.unit.explain(unit.request(0x1008n, { pasid: 1 }))
    expect([told.hpa, told.entries.map((e) => e.name), unit.word(0x11_1000)]).toEqual([
      0x1008,
      [
        'device table entry',
        'GCR3 entry, level 1',
        'guest page table entry, level 4',
        'guest page table entry, level 3',
      ],
      0x11_2007n,
    ])
  })
  test('says where it ends', () => {
    const unit = new BareUnit().fourLevels()
    const request = new DmaRequest(0x10)
    request.length = 8
    expect(unit.unit.explain(request)).toMatchObject({ status: 2, verdict: unit.unit.reasonText(2) })
  })
})
