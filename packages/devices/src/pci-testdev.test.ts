import { expect, test } from 'vitest'
import { pciTestdev, TESTDEV } from './pci-testdev.ts'
import { Rig } from './rig.test-kit.ts'

const AT = '00:02.0'
const machine = (): Rig => {
  const rig = new Rig([pciTestdev({ at: AT, addresses: { 0: 0xfea1_0000, 1: 0x5000 } })])
  rig.enable(AT, 3)
  return rig
}

test('reads zero until a test is chosen, then shows its header', () => {
  const rig = machine()
  expect(rig.load(AT, 0)).toBe(0n)
  rig.store(AT, TESTDEV.TEST, 0, 1)
  expect(rig.load(AT, TESTDEV.WIDTH, 1)).toBe(1n)
  expect(rig.load(AT, TESTDEV.OFFSET)).toBe(2048n)
  expect(rig.load(AT, TESTDEV.DATA, 1)).toBe(0xfan)
  expect(rig.load(AT, TESTDEV.NAME)).toBe(0x6f69_6d6dn)
})

test('counts writes of the right byte to the right place', () => {
  const rig = machine()
  rig.store(AT, TESTDEV.TEST, 0, 1)
  rig.store(AT, 2048, 0xfa, 1)
  rig.store(AT, 2048, 0xfb, 1)
  rig.store(AT, 2049, 0xfa, 1)
  rig.store(AT, 2048, 0xfa, 1)
  expect(rig.load(AT, TESTDEV.COUNT)).toBe(2n)
})

test('does not count in the tests whose eventfd takes the write', () => {
  const rig = machine()
  rig.store(AT, TESTDEV.TEST, 2, 1)
  rig.store(AT, 2050, 0xfa, 1)
  expect(rig.load(AT, TESTDEV.COUNT)).toBe(0n)
  expect(rig.load(AT, TESTDEV.TEST, 1)).toBe(2n)
})

test('ends the test for an unknown number and at a reset', () => {
  const rig = machine()
  rig.store(AT, TESTDEV.TEST, 0, 1)
  rig.store(AT, TESTDEV.TEST, 3, 1)
  expect(rig.load(AT, TESTDEV.OFFSET)).toBe(0n)
})

test('has a second BAR in I/O space with tests of its own', () => {
  const fn = machine().fn(AT)
  expect(fn.readConfig(0x14, 4)).toBe(0x5001)
  const window = fn.bars[1]?.window
  window?.store(0, 1, 0n)
  expect(window?.load(TESTDEV.OFFSET, 4)).toBe(131n)
})
