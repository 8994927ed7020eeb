import { describe, expect, test } from 'vitest'
import { capabilitiesOf } from './capabilities.ts'
import { FULL, PLAIN } from './bare-unit.test-kit.ts'
import { amdRegisters } from './registers.ts'

const ALL = 0xffff_ffff_ffff_ffffn
const written = (offset: number, features = PLAIN, value = ALL): bigint => {
  const registers = amdRegisters(capabilitiesOf(features), false)
  registers.store(offset, 8, value)
  return registers.load(offset, 8)
}

describe('software may set', () => {
  test.each([
    ['device table: base and size', 0x00, 0x000f_ffff_ffff_f1ffn],
    ['command buffer: base and length', 0x08, 0x0f0f_ffff_ffff_f000n],
    ['event log: base and length', 0x10, 0x0f0f_ffff_ffff_f000n],
    ['exclusion base', 0x20, 0x000f_ffff_ffff_f003n],
    ['exclusion limit', 0x28, 0x000f_ffff_ffff_f000n],
    ['pointers: bits 18:4', 0x2000, 0x7_fff0n],
    ['event tail', 0x2018, 0x7_fff0n],
  ])('%s', (_what, offset, readable) => {
    expect(written(offset)).toBe(readable)
  })
  test('nothing of the feature registers', () => {
    expect([written(0x30), written(0x1a0)]).toEqual([0x840n, 0n])
  })
  test('control bits of features that exist only', () => {
    const bits = 0x1e000n | (1n << 50n) | (1n << 58n)
    expect([written(0x18, PLAIN, bits), written(0x18, FULL, bits)]).toEqual([0n, 0x1e000n])
  })
  test('the page request log on a unit that has one', () => {
    expect([written(0x38), written(0x38, FULL)]).toEqual([0n, 0x0f0f_ffff_ffff_f000n])
  })
})
test('status bits are cleared by writing 1; run bits are not', () => {
  const registers = amdRegisters(capabilitiesOf(PLAIN), false)
  registers.set('STATUS', 0xff)
  registers.store(0x2020, 8, ALL)
  expect(registers.load(0x2020, 8)).toBe(0x98n)
})
