import { expect, test } from 'vitest'
import { model } from './pci-models.test-kit.ts'
import { dword, word } from './capability-chain.ts'
import { barOffset, writeMasks } from './write-masks.ts'

test('the latency timer is conventional', () => {
  expect(writeMasks(model().config, []).writable[0x0d]).toBe(0xff)
  expect(writeMasks(model({ port: 0 }).config, []).writable[0x0d]).toBe(0)
})
test('a bridge whose prefetchable window is 32 bits wide has no upper halves', () => {
  const wide = model({ port: 4, bridge: [1, 1] })
  wide.config[0x24] = 1
  expect(dword(writeMasks(wide.config, []).writable, 0x28)).toBe(0xffff_ffff)
  expect(dword(writeMasks(model({ port: 4, bridge: [1, 1] }).config, []).writable, 0x28)).toBe(0)
})
test('a conventional bridge has a discard timer status, cleared by writing 1', () => {
  const { writable, clearedByOne } = writeMasks(model({ bridge: [1, 1] }).config, [])
  expect([word(writable, 0x3e), word(clearedByOne, 0x3e)]).toEqual([0x0bff, 0x0400])
})
test('a BAR of exactly 4 GiB has address bits in the upper half alone', () => {
  const bars = [{ index: 0, size: 2 ** 32, space: 'memory', wide: true, prefetchable: true }] as const
  const { writable } = writeMasks(model().config, bars)
  expect([dword(writable, 0x10), dword(writable, 0x14)]).toEqual([0, 0xffff_ffff])
})
test("a bridge's ROM lies elsewhere", () => {
  expect([barOffset(6, false), barOffset(6, true), barOffset(1, true)]).toEqual([0x30, 0x38, 0x14])
})
