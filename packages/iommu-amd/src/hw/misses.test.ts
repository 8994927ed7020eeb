import { ACCESS, DMA, TARGET } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, PLAIN, RW } from './bare-unit.test-kit.ts'

const IOVA = 0x1234_5000n
const WRITE = { access: ACCESS.WRITE } as const

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
