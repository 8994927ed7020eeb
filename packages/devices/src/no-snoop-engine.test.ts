import { expect, test } from 'vitest'
import { Cpus } from '@ioasis/core'
import { NO_SNOOP_ENGINE, NO_SNOOP_FLAGS, noSnoopEngine } from './no-snoop-engine.ts'
import { Rig } from './rig.test-kit.ts'

const AT = '00:05.0'
const DEVICE_CONTROL = 8
const machine = (noSnoop: 'on' | 'off' = 'on'): Rig => {
  const rig = new Rig([noSnoopEngine({ at: AT, addresses: { 0: 0xfe90_0000 }, noSnoop })], true)
  rig.enable(AT)
  return rig
}
const copy = (rig: Rig, source: number, destination: number, flags: number): bigint => {
  rig.store(AT, NO_SNOOP_ENGINE.SOURCE_LO, source, 8)
  rig.store(AT, NO_SNOOP_ENGINE.DESTINATION_LO, destination, 8)
  rig.store(AT, NO_SNOOP_ENGINE.LENGTH, 8)
  rig.store(AT, NO_SNOOP_ENGINE.FLAGS, flags | NO_SNOOP_FLAGS.START)
  return rig.load(AT, NO_SNOOP_ENGINE.SENT)
}

test('leaves a CPU with stale bytes when it writes around its cache', () => {
  const rig = machine()
  const [cpu] = rig.host.get(Cpus)
  rig.fill(0x10_0000, [2, 2, 2, 2, 2, 2, 2, 2])
  expect(cpu.load(0x20_0000, 8)).toBe(0n)
  expect(copy(rig, 0x10_0000, 0x20_0000, NO_SNOOP_FLAGS.NO_SNOOP_WRITE)).toBe(2n)
  expect(cpu.load(0x20_0000, 8)).toBe(0n)
  cpu.wbinvd()
  expect(cpu.load(0x20_0000, 8)).toBe(0x0202_0202_0202_0202n)
})

test('misses what a CPU wrote and did not flush when it reads around its cache', () => {
  const rig = machine()
  const [cpu] = rig.host.get(Cpus)
  cpu.store(0x10_0000, 8, 5n)
  copy(rig, 0x10_0000, 0x20_0000, NO_SNOOP_FLAGS.NO_SNOOP_READ)
  expect(cpu.load(0x20_0000, 8)).toBe(0n)
  copy(rig, 0x10_0000, 0x20_0000, 0)
  expect(cpu.load(0x20_0000, 8)).toBe(5n)
})

test('sends no No Snoop while Device Control does not enable it', () => {
  const rig = machine()
  const fn = rig.fn(AT)
  const control = fn.capability(0x10) + DEVICE_CONTROL
  fn.writeConfig(control, 2, fn.readConfig(control, 2) & ~0x800)
  expect(copy(rig, 0x10_0000, 0x20_0000, NO_SNOOP_FLAGS.NO_SNOOP)).toBe(0n)
  fn.writeConfig(control, 2, fn.readConfig(control, 2) | 0x800)
  expect(copy(rig, 0x10_0000, 0x20_0000, NO_SNOOP_FLAGS.NO_SNOOP)).toBe(3n)
})

test('starts with No Snoop off when asked to', () => {
  expect(copy(machine('off'), 0x10_0000, 0x20_0000, NO_SNOOP_FLAGS.NO_SNOOP)).toBe(0n)
})
