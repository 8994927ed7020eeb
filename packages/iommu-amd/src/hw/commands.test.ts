import { describe, expect, test } from 'vitest'
import { BareUnit, COMMANDS, PLAIN, RW } from './bare-unit.test-kit.ts'

const IOVA = 0x1234_5000n
const WAIT = 0x1000_0000_0023_0001n
const PAGES = 0x3000_0000_0000_0000n
const of = (domain: number): bigint => PAGES | (BigInt(domain) << 32n)
const CMD_RUN = 0x10n
/** A unit that holds a leaf which is not in the tables any more. */
function stale(options = PLAIN): BareUnit {
  const unit = new BareUnit(options).fourLevels()
  unit.ask(IOVA)
  return unit.put(0x11_3a28, RW | 0x200_1001n)
}
const isStale = (unit: BareUnit): boolean => unit.ask(IOVA).hpa === 0x200_0000

describe('INVALIDATE_IOMMU_PAGES', () => {
  test.each([
    ['the page', of(1), IOVA, false],
    ['another page', of(1), 0x1234_6000n, true],
    ['another domain', of(2), IOVA, true],
    ['8 KiB around it', of(1), 0x1234_4001n, false],
    ['64 KiB around it', of(1), 0x1234_7001n, false],
    ['64 KiB beside it', of(1), 0x1235_7001n, true],
    ['2 MiB around it', of(1), 0x122f_f001n, false],
    ['all pages', of(1), 0x7fff_ffff_ffff_f001n, false],
    ['all pages of another domain', of(2), 0x7fff_ffff_ffff_f001n, true],
    ['guest pages', of(1), 0x7fff_ffff_ffff_f005n, true],
  ])('of %s', (_what, lo, hi, remains) => {
    expect(isStale(stale().command(lo, hi))).toBe(remains)
  })
  test('drops directory entries with PDE alone', () => {
    const unit = stale()
      .put(0x11_4a28, RW | 0x230_0001n)
      .put(0x11_2488, RW | 0x11_4201n)
    expect(unit.command(of(1), IOVA).ask(IOVA).hpa).toBe(0x200_1000)
    expect(unit.command(of(1), IOVA | 2n).ask(IOVA).hpa).toBe(0x230_0000)
  })
})
test('INVALIDATE_DEVTAB_ENTRY leaves pages alone', () => {
  expect(isStale(stale().command(0x2000_0000_0000_0010n))).toBe(true)
})
test('INVALIDATE_IOMMU_ALL drops everything', () => {
  const unit = stale().device(0x10, 0n)
  expect(unit.command(0x8000_0000_0000_0000n).ask(IOVA)).toMatchObject({ status: 0, hpa: 0x1234_5000 })
})
describe('COMPLETION_WAIT', () => {
  test('stores eight bytes once the commands before it are done', () => {
    const unit = stale()
    unit.put(COMMANDS, of(1), IOVA, WAIT, 0x1122_3344_5566_7788n).store(0x2008, 0x20n)
    expect([unit.word(0x23_0000), unit.load(0x2000), isStale(unit)]).toEqual([0x1122_3344_5566_7788n, 0x20n, false])
  })
  test('sets ComWaitInt, and interrupts if asked', () => {
    const unit = new BareUnit()
    unit.unit.interrupts.msi.enabled = true
    unit.unit.interrupts.msi.data = 0x41
    unit.command(0x1000_0000_0000_0002n)
    expect([unit.load(0x2020) & 4n, unit.raised.length]).toEqual([4n, 0])
    unit.store(0x18, 0x1015n).store(0x2020, 4n)
    expect(unit.load(0x2020) & 4n).toBe(0n)
    expect(unit.command(0x1000_0000_0000_0002n).raised).toEqual([{ address: 0n, data: 0x41 }])
  })
  test('that cannot be stored is a hardware error', () => {
    const unit = new BareUnit().command(0x1000_0000_8000_0001n, 1n)
    expect([unit.events(), unit.load(0x2020) & CMD_RUN]).toEqual([[[0x6200_0000_0000_0000n, 0x8000_0000n]], 0n])
  })
})

describe('a command of a feature that the unit lacks is illegal:', () => {
  test.each([
    ['INVALIDATE_IOTLB_PAGES without remote IOTLBs', 0x4000_0000_0000_0010n],
    ['PREFETCH_IOMMU_PAGES without prefetching', 0x6000_0000_0000_0010n],
    ['COMPLETE_PPR_REQUEST without page requests', 0x7000_0000_0000_0010n],
  ])('%s', (_what, lo) => {
    expect(new BareUnit().command(lo).events().length).toBe(1)
  })
})
