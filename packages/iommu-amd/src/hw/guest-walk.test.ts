import { ACCESS } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, FULL, IR, RW } from './bare-unit.test-kit.ts'

const GTEN = 1n << 16n
const GV = 1n << 55n
const WRITE = { access: ACCESS.WRITE, pasid: 1 } as const
const READ = { pasid: 1 } as const
const IOVA = 0x7f12_3456_7000n

/** GCR3 table at 0x110000 (one level); PASID 1's tables lead 0x7f1234567000 to 0x2000000. */
function guest(dte0 = GV, dte1 = 0n, options = FULL): BareUnit {
  const unit = new BareUnit(options, GTEN).device(0x10, RW | 3n | dte0, (0x22n << 16n) | 1n | dte1)
  unit.put(0x11_0008, 0x11_1001n).put(0x11_17f0, 0x11_2007n).put(0x11_2240, 0x11_3007n)
  return unit.put(0x11_3d10, 0x11_4007n).put(0x11_4b38, 0x200_0007n)
}

const supervisor = (efr: bigint): number =>
  guest(GV, 0n, { ...FULL, efr: FULL.efr | efr })
    .put(0x11_4b38, 0x200_0003n)
    .ask(IOVA, READ).status

const nx = (efr: bigint, exec: boolean): number =>
  guest(GV, 0n, { ...FULL, efr: FULL.efr | efr })
    .put(0x11_4b38, (1n << 63n) | 0x200_0007n)
    .ask(IOVA, { pasid: 1, exec }).status

describe('guest tables', () => {
  test('translate requests with PASID', () => {
    expect(guest().ask(IOVA + 0x18n, READ)).toMatchObject({ status: 0, hpa: 0x200_0018 })
  })
  test('of another PASID are others', () => {
    const unit = guest().put(0x11_0010, 0x11_5001n)
    expect(unit.ask(IOVA, { pasid: 2 }).status & 0xf).toBe(2)
  })
  test('serve requests without PASID if GIOV says so', () => {
    const unit = guest(GV | (1n << 54n)).put(0x11_0000, 0x11_1001n)
    expect(unit.ask(IOVA).hpa).toBe(0x200_0000)
    expect(guest().ask(IOVA).hpa).toBe(0x7f12_3456_7000)
  })
  test('are not used while CTRL.GTEn is 0', () => {
    const unit = guest()
    unit.store(0x18, 0x1005n)
    unit.command(0x2000_0000_0000_0010n)
    expect(unit.ask(IOVA, READ).status & 0xf).toBe(2)
  })
  test('have five levels if the entry says so', () => {
    const unit = guest().device(0x10, RW | GV | 3n, (0x22n << 16n) | 1n, 1n << 54n)
    unit.put(0x11_5000, 0x11_1007n).put(0x11_0008, 0x11_5001n)
    expect([unit.ask(IOVA, READ).hpa, unit.ask(1n << 48n, READ).status & 0xf]).toEqual([0x200_0000, 2])
  })
  test('take addresses that repeat their highest bit only', () => {
    expect(guest().ask(0x8000_0000_0000n, READ).status & 0xf).toBe(2)
  })
  test('of two and three GCR3 levels take 18 and 20 bits of PASID', () => {
    const unit = guest(GV | (2n << 56n))
      .put(0x11_0010, 0x11_6001n)
      .put(0x11_6af0, 0x11_7001n)
      .put(0x11_76f0, 0x11_1001n)
    expect(unit.ask(IOVA, { pasid: 0xa_bcde }).hpa).toBe(0x200_0000)
    expect(guest().ask(IOVA, { pasid: 0x201 }).status & 0xf).toBe(2)
  })
  test('set A where they are used and D where written', () => {
    const unit = guest()
    unit.ask(IOVA, READ)
    expect([0x11_17f0, 0x11_3d10, 0x11_4b38].map((hpa) => unit.word(hpa) & 0x60n)).toEqual([0x20n, 0x20n, 0x20n])
    unit.ask(IOVA, WRITE)
    expect(unit.word(0x11_4b38) & 0x60n).toBe(0x60n)
  })
  test('refuse writes without R/W at any level', () => {
    const unit = guest().put(0x11_3d10, 0x11_4005n)
    expect([unit.ask(IOVA, READ).status, unit.ask(IOVA, WRITE).status]).toEqual([0, 2 | (0x75 << 4)])
    expect(unit.events()).toEqual([[0x2075_0001_0000_0010n, IOVA]])
  })
  test('map 2 MiB and 1 GiB, aligned', () => {
    const unit = guest().put(0x11_3d10, 0x220_00e7n)
    expect(unit.ask(0x7f12_3456_7018n, READ).hpa).toBe(0x236_7018)
    unit.put(0x11_3d18, 0x220_20e7n)
    expect(unit.ask(0x7f12_3460_0000n, READ).status).toBe(2 | (0x95 << 4))
  })
  test('protect supervisor pages only on units that say so', () => {
    expect([supervisor(0n), supervisor(1n << 37n)]).toEqual([0, 2 | (0x55 << 4)])
  })
  test('no-execute is reserved without NXSup, and stops execution with it', () => {
    expect([nx(0n, false), nx(8n, false), nx(8n, true)]).toEqual([2 | (0x95 << 4), 0, 2 | (0x57 << 4)])
  })
})

/** GCR3 at system address 0x111000; guest-physical 0x50000000 and following are 0x111000, 0x115000 ..., 0x60000000 is 0x2000000. */
const nested = (leaf = RW | 0x200_0001n): BareUnit => {
  const unit = new BareUnit(FULL, GTEN).device(0x10, RW | GV | (1n << 58n) | 0x11_0803n, (0x22n << 16n) | 1n)
  unit
    .put(0x11_0000, RW | 0x11_2601n)
    .put(0x11_2008, RW | 0x11_3401n)
    .put(0x11_3400, RW | 0x11_4201n)
  unit.put(0x11_4000, ...[0x11_1001n, 0x11_5001n, 0x11_6001n, 0x11_7001n, 0x11_8001n].map((w) => RW | w))
  unit.put(0x11_1008, 0x5000_1001n).put(0x11_57f0, 0x5000_2027n).put(0x11_6240, 0x5000_3027n)
  unit.put(0x11_7d10, 0x5000_4027n).put(0x11_8b38, 0x6000_0067n)
  return unit.put(0x11_3800, RW | 0x11_9201n).put(0x11_9000, leaf)
}

describe('guest tables above host tables', () => {
  test('go through both', () => {
    const unit = nested()
    expect(unit.ask(IOVA + 8n, WRITE)).toMatchObject({ status: 0, hpa: 0x200_0008 })
    expect(unit.ask(0x6000_0008n)).toMatchObject({ status: 0, hpa: 0x200_0008 })
  })
  test('the host refuses with the guest-physical address', () => {
    const unit = nested(IR | 0x200_0001n)
    expect([unit.ask(IOVA, READ).status, unit.ask(IOVA, WRITE).status]).toEqual([0, 2 | (0x70 << 4)])
    expect(unit.events()).toEqual([[0x2070_0001_0000_0010n, 0x6000_0000n]])
  })
  test('an invalidation of host pages drops what rests on them', () => {
    const unit = nested()
    unit.ask(IOVA, READ)
    unit.put(0x11_9000, RW | 0x210_0001n)
    expect(unit.ask(IOVA, READ).hpa).toBe(0x200_0000)
    unit.command(0x3000_0001_0000_0000n, 0x6000_0002n)
    expect(unit.ask(IOVA, READ).hpa).toBe(0x210_0000)
  })
  test('a page table that the host leaves read-only keeps its accessed bits clear: the access is refused', () => {
    const unit = nested()
      .put(0x11_4020, IR | 0x11_8001n)
      .put(0x11_8b38, 0x6000_0007n)
    expect(unit.ask(IOVA, READ).status).toBe(2 | (0x50 << 4))
    expect(unit.word(0x11_8b38)).toBe(0x6000_0007n)
  })
  test('a large guest page is as large as the host page behind it', () => {
    const unit = nested().put(0x11_7d10, 0x6000_00e7n)
    expect(unit.ask(0x7f12_3440_0010n, { pasid: 1, length: 0x2000 })).toMatchObject({ hpa: 0x200_0010, bytes: 0xff0 })
  })
})
