import { describe, expect, test } from 'vitest'
import { BareUnit, COMMANDS, FULL, PLAIN, RW } from './bare-unit.test-kit.ts'

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

test('switching the unit off and on drops nothing: software invalidates', () => {
  const unit = stale()
  unit.store(0x18, 0n)
  expect(unit.ask(IOVA).hpa).toBe(0x1234_5000)
  unit.store(0x18, 0x1005n)
  expect(isStale(unit)).toBe(true)
})

describe('an illegal command stops the processor and is named', () => {
  test.each([
    ['opcode 0', 0n, 0n],
    ['opcode 15', 0xf000_0000_0000_0000n, 0n],
    ['COMPLETION_WAIT', 0x1020_0000_0023_0001n, 0n],
    ['INVALIDATE_DEVTAB_ENTRY', 0x2000_0000_0010_0010n, 0n],
    ['INVALIDATE_IOMMU_PAGES', of(1) | (1n << 20n), 0n],
    ['INVALIDATE_IOTLB_PAGES', 0x4000_0000_0000_0010n, 2n],
    ['INVALIDATE_INTERRUPT_TABLE', 0x5000_0000_0000_0010n, 1n],
    ['COMPLETE_PPR_REQUEST', 0x7000_0000_0001_0010n, 0n],
    ['INVALIDATE_IOMMU_ALL', 0x8000_0000_0000_0001n, 0n],
  ])('%s with a reserved bit', (_what, lo, hi) => {
    const unit = new BareUnit(FULL).command(lo, hi).command(WAIT, 1n)
    expect(unit.events()).toEqual([[0x5000_0000_0000_0000n, BigInt(COMMANDS)]])
    expect([unit.word(0x23_0000), unit.load(0x2020) & CMD_RUN, unit.load(0x2000)]).toEqual([0n, 0n, 0n])
  })
  test('it runs again once it was switched off and on', () => {
    const unit = new BareUnit().command(0n)
    unit.store(0x18, 5n).store(0x2000, 0n).store(0x2008, 0n)
    unit.rewind()
    unit.store(0x18, 0x1005n).command(WAIT, 7n)
    expect([unit.word(0x23_0000), unit.load(0x2020) & CMD_RUN]).toEqual([7n, CMD_RUN])
  })
})
test('a buffer that nothing answers for is a hardware error', () => {
  const unit = new BareUnit().store(0x08, 0x0800_0000_8000_0000n).store(0x2008, 0x10n)
  expect(unit.events()).toEqual([[0x6200_0000_0000_0000n, 0x8000_0000n]])
})
test('a new base begins a new buffer', () => {
  const unit = new BareUnit().command(WAIT, 7n).store(0x08, 0x0800_0000_0024_0000n)
  expect([unit.load(0x2000), unit.load(0x2008)]).toEqual([0n, 0n])
})
test('the ring wraps', () => {
  const unit = new BareUnit()
  for (let i = 0; i < 300; i++) unit.command(WAIT, BigInt(i))
  expect([unit.word(0x23_0000), unit.load(0x2000)]).toEqual([299n, 0x2c0n])
})
test('with lag nothing happens before software looks', () => {
  const unit = new BareUnit({ lag: true }).fourLevels()
  unit.ask(IOVA)
  unit.put(0x11_3a28, RW | 0x200_1001n)
  unit.command(of(1), IOVA).command(WAIT, 9n)
  expect([isStale(unit), unit.word(0x23_0000)]).toEqual([true, 0n])
  unit.load(0x2020)
  expect([isStale(unit), unit.word(0x23_0000)]).toEqual([false, 9n])
})
