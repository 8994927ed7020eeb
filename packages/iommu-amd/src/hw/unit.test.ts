import { ACCESS, DMA, DmaRequest, TARGET } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, FULL, PLAIN, RW } from './bare-unit.test-kit.ts'

const IOVA = 0x1234_5000n
const WRITE = { access: ACCESS.WRITE } as const

test('a unit that is off lets everything pass', () => {
  const unit = new BareUnit().fourLevels().store(0x18, 0n)
  expect(unit.ask(IOVA, { length: 64 })).toEqual({ status: 0, hpa: 0x1234_5000, bytes: 64, snooped: true })
})
test('functions of one domain share what is cached', () => {
  const unit = new BareUnit().fourLevels()
  unit.ask(IOVA)
  unit.put(0x11_3a28, 0n)
  expect(unit.ask(IOVA, { requester: 0x18 }).hpa).toBe(0x200_0000)
})
test('pages that follow one another are one answer', () => {
  const unit = new BareUnit().fourLevels().put(0x11_3a30, RW | 0x200_1001n)
  unit.ask(IOVA)
  unit.ask(IOVA + 0x1000n)
  expect(unit.ask(IOVA + 8n, { length: 0x3000 }).bytes).toBe(0x1ff8)
})

describe('the interrupt range', () => {
  test('takes writes as messages, whatever the tables say', () => {
    const unit = new BareUnit().fourLevels()
    const request = unit.request(0xfee0_0000n, { ...WRITE, length: 4 })
    expect([unit.unit.translate(request), request.out.target]).toEqual([DMA.OK, TARGET.INTERRUPT])
  })
  test('is not read', () => {
    const unit = new BareUnit().fourLevels()
    unit.ask(0xfee0_0000n)
    expect(unit.events()).toEqual([[0x8000_0000_0000_0010n, 0xfee0_0000n]])
  })
  test('is not covered by a large leaf around it', () => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0803n, 1n).put(0x11_0000, RW | 0x11_1601n)
    unit.put(0x11_1018, RW | 0xc000_0001n)
    expect(unit.ask(0xfed0_0000n, WRITE)).toMatchObject({ status: 0, hpa: 0xfed0_0000 })
    const request = unit.request(0xfee0_0000n, { ...WRITE, length: 4 })
    unit.unit.translate(request)
    expect(request.out.target).toBe(TARGET.INTERRUPT)
  })
})

const excluding = (flags: bigint, dte1: bigint): BareUnit =>
  new BareUnit()
    .device(0x10, RW | 0x11_0803n, 1n | dte1)
    .store(0x20, 0x200_0000n | flags)
    .store(0x28, 0x200_f000n)

describe('the exclusion range', () => {
  test('of everybody is not translated, its last page included', () => {
    const unit = excluding(3n, 0n)
    expect([0x200_0000n, 0x200_fff8n, 0x201_0000n, 0x1ff_fff8n].map((iova) => unit.ask(iova).status)).toEqual([
      0, 0, 2, 2,
    ])
  })
  test('of some is theirs whose entry says EX', () => {
    expect([excluding(1n, 0n).ask(0x200_0000n).status, excluding(1n, 1n << 39n).ask(0x200_0000n).status]).toEqual([
      2, 0,
    ])
  })
  test('off is nobody', () => {
    expect(excluding(2n, 0n).ask(0x200_0000n).status).toBe(2)
  })
})

describe('absent entries', () => {
  test('are looked up again', () => {
    const unit = new BareUnit().fourLevels(0n)
    expect(unit.ask(IOVA).status).toBe(2)
    expect(unit.put(0x11_3a28, RW | 0x200_0001n).ask(IOVA).status).toBe(0)
  })
  test('are kept by a unit with NpCache until they are invalidated', () => {
    const unit = new BareUnit({ ...PLAIN, capabilityHeader: 0x0c03_000f }).fourLevels(0n)
    unit.ask(IOVA)
    unit.put(0x11_3a28, RW | 0x200_0001n)
    expect(unit.ask(IOVA).status).toBe(2)
    expect(unit.command(0x3000_0001_0000_0000n, IOVA).ask(IOVA).status).toBe(0)
    expect(unit.unit.inspect()).toContainEqual(expect.objectContaining({ kind: 'cached', iova: IOVA, tag: 1 }))
  })
})

describe("QEMU's personality", () => {
  const qemu = { personality: 'qemu' as const, efr: 0x29d3n, capabilityHeader: 0x1f03_000f }
  test('translates a function once its entry was invalidated', () => {
    const unit = new BareUnit(qemu).fourLevels()
    expect(unit.ask(IOVA).hpa).toBe(0x1234_5000)
    expect(unit.command(0x2000_0000_0000_0010n).ask(IOVA).hpa).toBe(0x200_0000)
  })
  test('logs without address and domain, once for every four bytes', () => {
    const unit = new BareUnit(qemu).fourLevels().command(0x2000_0000_0000_0010n)
    unit.ask(0x9000n, WRITE)
    expect(unit.events()).toEqual([
      [0x200a_0000_0000_0010n, 0n],
      [0x200a_0000_0000_0010n, 0n],
    ])
  })
  test('drops a whole domain for one page', () => {
    const unit = new BareUnit(qemu).fourLevels().command(0x2000_0000_0000_0010n)
    unit.ask(IOVA)
    unit.put(0x11_3a28, RW | 0x200_1001n).command(0x3000_0001_0000_0000n, 0x9000n)
    expect(unit.ask(IOVA).hpa).toBe(0x200_1000)
  })
})

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
