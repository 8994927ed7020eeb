import { ACCESS } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, FULL, IR, PLAIN, RW } from './bare-unit.test-kit.ts'

const WRITE = { access: ACCESS.WRITE } as const

describe('a device table entry', () => {
  test('with V 0 lets requests pass', () => {
    expect(new BareUnit().ask(0x200_0000n)).toMatchObject({ status: 0, hpa: 0x200_0000 })
  })
  test('with TV 0 ends every walk', () => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0801n, 5n)
    expect(unit.ask(0x1000n, WRITE).status).toBe(2 | (0x20 << 4))
    expect(unit.events()).toEqual([[0x2020_0005_0000_0010n, 0x1000n]])
  })
  test('with Mode 0 lets requests pass as far as it permits', () => {
    const unit = new BareUnit().device(0x10, IR | 3n, 1n)
    expect([unit.ask(0x200_0000n).hpa, unit.ask(0x200_0000n, WRITE).status]).toEqual([0x200_0000, 2 | (0x70 << 4)])
  })
  test.each([
    ['bit 2', 4n, 0n],
    ['bit 63', 1n << 63n, 0n],
    ['GV without guest translation', 1n << 55n, 0n],
    ['PPR without page requests', 1n << 52n, 0n],
  ])('with a reserved bit is illegal: %s', (_what, first, second) => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0803n | first, second)
    unit.ask(0x1000n, WRITE)
    expect(unit.events()).toEqual([[0x10a0_0000_0000_0010n, 0x1000n]])
  })
  test('with more levels than the unit has is illegal', () => {
    const unit = new BareUnit({ ...PLAIN, efr: 0x40n }).device(0x10, RW | 0x11_0a03n, 1n)
    expect(unit.ask(0n).status).toBe(1)
  })
  test('with more GCR3 levels than the unit has is illegal', () => {
    const unit = new BareUnit({ ...FULL, efr: FULL.efr & ~0xc000n }, 1n << 16n)
    unit.device(0x10, RW | 3n | (1n << 55n) | (1n << 56n), 1n)
    expect(unit.ask(0n).status).toBe(1)
  })
  test('beyond the table is no entry', () => {
    const unit = new BareUnit()
    unit.ask(0x5000n, { requester: 0x80 })
    expect(unit.events()).toEqual([[0x2000_0000_0000_0080n, 0x5000n]])
  })
  test('that cannot be read is a hardware error', () => {
    const unit = new BareUnit().store(0, 0x8000_0000n)
    unit.ask(0x5000n, WRITE)
    expect(unit.events()).toEqual([[0x3220_0000_0000_0010n, 0x8000_0200n]])
  })
  test('is kept until it is named', () => {
    const unit = new BareUnit().fourLevels()
    unit.ask(0x1234_5000n)
    unit.device(0x10, 0n)
    expect(unit.ask(0x1234_6000n).status & 0xf).toBe(2)
    unit.command(0x2000_0000_0000_0018n)
    expect(unit.ask(0x1234_6000n).status & 0xf).toBe(2)
    unit.command(0x2000_0000_0000_0010n)
    expect(unit.ask(0x1234_6000n)).toMatchObject({ status: 0, hpa: 0x1234_6000 })
  })
})
describe('events of a function', () => {
  test('are not logged with SA', () => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0803n, 4n << 32n)
    expect([unit.ask(0n).status, unit.events()]).toEqual([2, []])
  })
  test('are logged once with SE, and again after its entry was reloaded', () => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0803n, 2n << 32n)
    unit.ask(0n)
    unit.ask(0n)
    expect(unit.events().length).toBe(1)
    unit.command(0x2000_0000_0000_0010n)
    unit.ask(0n)
    expect(unit.events().length).toBe(1)
  })
})
