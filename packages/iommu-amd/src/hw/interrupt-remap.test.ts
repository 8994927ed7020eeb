import type { InterruptMessage } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, PLAIN, RW } from './bare-unit.test-kit.ts'

const GA = { efr: 0x2008c4n, efr2: 0x100n, capabilityHeader: 0x0803_000f }
const REMAP = 2n << 60n
/** Table at 0x210000 with 256 entries. */
const TABLE = 0x21_0011n
function unitWith(dte2: bigint, options = PLAIN, control = 0n): BareUnit {
  return new BareUnit(options, control).device(0x18, RW | 3n, 1n, dte2, 0n)
}
const send = (unit: BareUnit, data: number, address = 0xfee0_0000n): InterruptMessage | undefined =>
  unit.unit.msi.remap({ address, data }, 0x18)
const flagsOf = (unit: BareUnit): string[] => unit.events().map(([lo]) => ((lo as bigint) >> 48n).toString(16))

describe('entries of 32 bits', () => {
  test('say vector, destination, mode and kind', () => {
    const unit = unitWith(REMAP | TABLE).put(0x21_0010, 0x62ff45n)
    expect(send(unit, 4)).toEqual({ vector: 0x62, dest: 0xff, destMode: 'logical', deliveryMode: 1 })
  })
  test('are kept until a command names their function', () => {
    const unit = unitWith(REMAP | TABLE).put(0x21_0010, 0x62_0001n)
    send(unit, 4)
    unit.put(0x21_0010, 0x63_0001n)
    expect(send(unit, 4)?.vector).toBe(0x62)
    expect(send(unit.command(0x5000_0000_0000_0010n), 4)?.vector).toBe(0x62)
    expect(send(unit.command(0x5000_0000_0000_0018n), 4)?.vector).toBe(0x63)
  })
  test.each([
    ['that are off are refused', 0x62_0000n, ['2008']],
    ['that are off and quiet are refused without a word', 0x62_0002n, []],
    ['of a reserved kind are refused', 0x62_0009n, ['2098']],
    ['of guest mode are refused', 0x62_0081n, ['2098']],
    ['with reserved bits are refused', 0x0162_0001n, ['2098']],
  ])('%s', (_what, entry, events) => {
    const unit = unitWith(REMAP | TABLE).put(0x21_0010, entry)
    expect([send(unit, 4), flagsOf(unit)]).toEqual([undefined, events])
  })
  test('beyond the table are refused', () => {
    const unit = unitWith(REMAP | 0x21_0003n)
    expect([send(unit, 2), flagsOf(unit)]).toEqual([undefined, ['2008']])
  })
  test('that cannot be read are a hardware error', () => {
    const unit = unitWith(REMAP | 0x8000_0011n)
    expect([send(unit, 4), unit.events()]).toEqual([undefined, [[0x4208_0001_0000_0018n, 0x8000_0010n]]])
  })
})
describe('entries of 128 bits', () => {
  test('have a destination of 8 bits, or of 32', () => {
    const unit = unitWith(REMAP | TABLE, GA, 1n << 17n).put(0x21_0040, 0x3456_7801n, 0x1200_0000_0000_0069n)
    expect(send(unit, 4)).toMatchObject({ vector: 0x69, dest: 0x78 })
    unit.store(0x18, 0x21005n | (1n << 50n)).command(0x8000_0000_0000_0000n)
    expect(send(unit, 4)?.dest).toBe(0x1234_5678)
  })
  test('may be 2048', () => {
    const unit = unitWith(REMAP | 0x21_0017n, GA, (1n << 17n) | (1n << 43n)).put(0x21_7ff0, 1n, 0x6an)
    expect(send(unit, 0x7ff)?.vector).toBe(0x6a)
    expect(send(unitWith(REMAP | 0x21_0017n, GA, 1n << 17n), 4)).toBeUndefined()
  })
})
describe('controls', () => {
  test.each([
    ['IV 0 forwards', 0n, 0x74, 0x74],
    ['IntCtl 1 forwards', (1n << 60n) | TABLE, 0x74, 0x74],
    ['NMIPass lets NMI pass', REMAP | TABLE | (1n << 58n), 0x400, 0],
    ['InitPass lets INIT pass', REMAP | TABLE | (1n << 56n), 0x500, 0],
    ['EIntPass lets external interrupts pass', REMAP | TABLE | (1n << 57n), 0x700, 0],
  ])('%s', (_what, dte2, data, vector) => {
    expect(send(unitWith(dte2), data)?.vector).toBe(vector)
  })
  test.each([
    ['IntCtl 0', TABLE, 0x74, ['8a00']],
    ['IntCtl 3', (3n << 60n) | TABLE, 0x74, ['1088']],
    ['NMI without NMIPass', REMAP | TABLE, 0x400, ['8a00']],
    ['IntTabLen above 9', REMAP | 0x21_001fn, 4, ['1008']],
    ['a reserved bit', REMAP | TABLE | (1n << 52n), 4, ['1088']],
    ['IG: no event of unmapped interrupts', REMAP | TABLE | 0x20n, 4, []],
  ])('%s blocks', (_what, dte2, data, events) => {
    const unit = unitWith(dte2)
    expect([send(unit, data), flagsOf(unit)]).toEqual([undefined, events])
  })
  test('kinds that pass need a physical destination', () => {
    expect(send(unitWith(REMAP | TABLE | (1n << 58n)), 0x400, 0xfee0_0004n)).toBeUndefined()
  })
  test('messages pass while the unit is off', () => {
    expect(send(unitWith(REMAP | TABLE).store(0x18, 0n), 0x74)?.vector).toBe(0x74)
  })
})
