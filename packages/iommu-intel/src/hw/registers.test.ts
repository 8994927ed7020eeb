import { expect, test } from 'vitest'
import { REG } from '../spec/registers.ts'
import { CAP, ECAP } from './bare-unit.test-kit.ts'
import { capabilitiesOf } from './capabilities.ts'
import { vtdRegisters } from './registers.ts'

const regions = CAP | (1n << 5n)
const PRS = 1n << 29n
const registers = (cap = CAP, ecap = ECAP): ReturnType<typeof vtdRegisters> =>
  vtdRegisters(capabilitiesOf(cap, ecap, 46), 0x10)

test('shows version and capabilities, and masks the events after reset', () => {
  const r = registers(CAP, ECAP | PRS)
  expect([r.load(REG.VER, 4), r.load(REG.CAP, 8), r.load(REG.ECAP, 8)]).toEqual([0x10n, CAP, ECAP | PRS])
  expect([REG.FECTL, REG.IECTL, REG.PECTL].map((at) => r.load(at, 4))).toEqual([
    0x8000_0000n,
    0x8000_0000n,
    0x8000_0000n,
  ])
})
test('has no page request registers without page requests', () => {
  const r = registers()
  r.store(REG.PQA, 8, 0x10_0000n)
  expect([r.load(REG.PECTL, 4), r.load(REG.PQA, 8)]).toEqual([0n, 0n])
})
test('keeps the bits of an address and drops the reserved ones', () => {
  const r = registers()
  r.store(REG.RTADDR, 8, 0xffff_ffff_ffff_ffffn)
  r.store(REG.IQA, 8, 0xffff_ffff_ffff_ffffn)
  r.store(REG.IQT, 8, 0xffff_ffff_ffff_ffffn)
  expect([r.load(REG.RTADDR, 8), r.load(REG.IQA, 8), r.load(REG.IQT, 8)]).toEqual([
    0xffff_ffff_ffff_fc00n,
    0xffff_ffff_ffff_f807n,
    0x7_fff0n,
  ])
})
test('places the IOTLB registers and the fault records where the capabilities say', () => {
  const r = registers(CAP | (3n << 40n))
  r.set('FRCD3.hi', 0x10, -1)
  expect(r.load(0x220 + 3 * 16 + 8, 8)).toBe(0xffff_ffff_0000_0010n)
  r.store(0xf8, 8, 0xffff_ffff_ffff_ffffn)
  expect(r.load(0xf8, 8)).toBe(0xb003_ffff_0000_0000n)
})
test('has a protected region status that follows its enable, where there are such regions', () => {
  const r = registers(regions)
  r.store(REG.PMEN, 4, 0x8000_0000n)
  expect(r.load(REG.PMEN, 4)).toBe(0x8000_0001n)
  r.store(REG.PMEN, 4, 0n)
  expect(r.load(REG.PMEN, 4)).toBe(0n)
  const without = registers()
  without.store(REG.PMEN, 4, 0x8000_0000n)
  expect(without.load(REG.PMEN, 4)).toBe(0n)
})
