import { ACCESS } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, FULL, RW } from './bare-unit.test-kit.ts'

/** GTEn. */
const GUEST = 1n << 16n
/** 00:02.0 has a one-level GCR3 table at 0x110000, whose PASID 1 maps the first GiB one to one, for users. */
const withPasid = (): BareUnit =>
  new BareUnit(FULL, GUEST)
    .device(0x10, RW | (1n << 55n) | 3n, (0x22n << 16n) | 1n)
    .put(0x11_0008, 0x11_1001n)
    .put(0x11_1000, 0x11_2007n)
    .put(0x11_2000, 0x87n)

describe('a request with PASID', () => {
  test('is kept by PASID until a command with GN names it', () => {
    const unit = withPasid()
    expect(unit.ask(0x1008n, { pasid: 1 })).toMatchObject({ status: 0, hpa: 0x1008 })
    unit.put(0x11_2000, 0n)
    expect(unit.ask(0x2008n, { pasid: 1 })).toMatchObject({ status: 0, hpa: 0x2008 })
    // INVALIDATE_IOMMU_PAGES, S and GN, of PASID 2, then of PASID 1.
    const of = (pasid: bigint): BareUnit => unit.command(0x3000_0001_0000_0000n | pasid, 0x7fff_ffff_ffff_f005n)
    expect(of(2n).ask(0x1008n, { pasid: 1 }).status).toBe(0)
    expect(of(1n).ask(0x1008n, { pasid: 1 }).status).not.toBe(0)
  })
  test('for execution is looked up each time, as what was kept does not say', () => {
    const unit = withPasid()
    unit.ask(0x1008n, { pasid: 1 })
    unit.put(0x11_2000, 0n)
    expect(unit.ask(0x1008n, { pasid: 1, exec: true }).status).not.toBe(0)
  })
  test('never is an interrupt', () => {
    const unit = withPasid()
    unit.ask(0xfee0_0000n, { pasid: 1, access: ACCESS.WRITE })
    expect(unit.events().map(([word = 0n]) => word >> 60n)).toEqual([2n])
  })
  test('of a function without guest tables is refused', () => {
    const unit = new BareUnit(FULL, GUEST).fourLevels()
    expect(unit.ask(0x1234_5000n, { pasid: 1 }).status).not.toBe(0)
  })
})
