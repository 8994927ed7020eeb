import { expect, test } from 'vitest'
import { DMA } from '@ioasis/core'
import { Edu, EDU, EDU_COMMAND, edu } from './edu.ts'
import { Rig } from './rig.test-kit.ts'

const AT = '00:01.0'
const machine = (): Rig => {
  const rig = new Rig([edu({ at: AT, addresses: { 0: 0xfe80_0000 } })])
  rig.enable(AT)
  return rig
}
const run = (rig: Rig, source: number, destination: number, count: number, command: number): void => {
  rig.store(AT, EDU.DMA_SOURCE, source)
  rig.store(AT, EDU.DMA_DESTINATION, destination)
  rig.store(AT, EDU.DMA_COUNT, count)
  rig.store(AT, EDU.DMA_COMMAND, command | EDU_COMMAND.RUN)
}

test('reads its identification and inverts what is written for liveness', () => {
  const rig = machine()
  expect(rig.load(AT, EDU.ID)).toBe(0x0100_00edn)
  rig.store(AT, EDU.LIVENESS, 0x1234_5678)
  expect(rig.load(AT, EDU.LIVENESS)).toBe(0xedcb_a987n)
})

test('looks like QEMU’s edu in configuration space', () => {
  const fn = machine().fn(AT)
  expect(fn.readConfig(0, 4)).toBe(0x11e8_1234)
  expect(fn.readConfig(8, 4)).toBe(0x00ff_0010)
  expect(fn.readConfig(0x2c, 4)).toBe(0x1100_1af4)
  expect(fn.capability(0x05)).toBe(0x40)
  expect(fn.readConfig(0x42, 2)).toBe(0x0080)
  expect(fn.readConfig(0x3d, 1)).toBe(1)
})

test('answers only 4-byte accesses below 0x80 and 4 or 8 bytes above', () => {
  const rig = machine()
  expect(rig.load(AT, EDU.ID, 2)).toBe(0xffffn)
  expect(rig.load(AT, EDU.ID, 8)).toBe(0xffff_ffff_ffff_ffffn)
  rig.store(AT, EDU.DMA_SOURCE, 0x1_2345_6789n, 8)
  expect(rig.load(AT, EDU.DMA_SOURCE, 8)).toBe(0x1_2345_6789n)
  expect(rig.load(AT, 0x40)).toBe(0xffff_ffffn)
})

test('moves memory into its buffer and back, 100 ms after each command', () => {
  const rig = machine()
  rig.fill(0x10_0000, [1, 2, 3, 4])
  run(rig, 0x10_0000, EDU.BUFFER + 8, 4, 0)
  rig.pass(99)
  expect(rig.load(AT, EDU.DMA_COMMAND)).toBe(1n)
  rig.pass(1)
  expect(rig.load(AT, EDU.DMA_COMMAND)).toBe(0n)
  run(rig, EDU.BUFFER + 8, 0x10_2000, 4, EDU_COMMAND.FROM_DEVICE)
  rig.pass(100)
  expect([...rig.ram(0x10_2000, 4)]).toEqual([1, 2, 3, 4])
})

test('ignores register writes while a transfer runs', () => {
  const rig = machine()
  run(rig, 0x10_0000, EDU.BUFFER, 4, 0)
  rig.store(AT, EDU.DMA_COUNT, 8)
  expect(rig.load(AT, EDU.DMA_COUNT)).toBe(4n)
})

test('drops address bits above its mask', () => {
  const rig = machine()
  rig.fill(0x30_0000, [9])
  run(rig, 0x5030_0000, EDU.BUFFER, 1, 0)
  rig.pass(100)
  run(rig, EDU.BUFFER, 0x30_1000, 1, EDU_COMMAND.FROM_DEVICE)
  rig.pass(100)
  expect([...rig.ram(0x30_1000, 1)]).toEqual([9])
})

test('moves nothing when the range leaves its buffer, and ends all the same', () => {
  const rig = machine()
  run(rig, EDU.BUFFER + 4090, 0x10_0000, 16, EDU_COMMAND.FROM_DEVICE)
  rig.pass(100)
  expect(rig.load(AT, EDU.DMA_COMMAND)).toBe(2n)
  expect([...rig.ram(0x10_0000, 2)]).toEqual([0, 0])
})

test('moves nothing while it may not master the bus', () => {
  const rig = machine()
  rig.enable(AT, 2)
  rig.fill(0x10_0000, [7])
  run(rig, EDU.BUFFER, 0x10_0000, 1, EDU_COMMAND.FROM_DEVICE)
  rig.pass(100)
  expect([...rig.ram(0x10_0000, 1)]).toEqual([7])
  expect((rig.fn(AT).model as Edu).lastStatus).toBe(DMA.DISABLED)
})

test('computes a factorial and reports it by INTx when asked', () => {
  const rig = machine()
  rig.store(AT, EDU.STATUS, 0x80)
  rig.store(AT, EDU.FACTORIAL, 5)
  expect(rig.load(AT, EDU.STATUS)).toBe(0x81n)
  rig.pass(1)
  expect(rig.load(AT, EDU.FACTORIAL)).toBe(120n)
  expect(rig.load(AT, EDU.INTERRUPT_STATUS)).toBe(1n)
  expect(rig.fn(AT).interrupts.intxAsserted).toBe(true)
  rig.store(AT, EDU.ACKNOWLEDGE, 1)
  expect(rig.fn(AT).interrupts.intxAsserted).toBe(false)
})

test('raises MSI in place of INTx once it is enabled', () => {
  const rig = machine()
  rig.setUpMsi(AT, 0x41)
  run(rig, 0x10_0000, EDU.BUFFER, 4, EDU_COMMAND.INTERRUPT)
  rig.pass(100)
  expect(rig.pending).toEqual([0x41])
  expect(rig.load(AT, EDU.INTERRUPT_STATUS)).toBe(0x100n)
  expect(rig.fn(AT).interrupts.intxAsserted).toBe(false)
})

test('forgets a running transfer at a reset', () => {
  const rig = machine()
  run(rig, EDU.BUFFER, 0x10_0000, 4, EDU_COMMAND.FROM_DEVICE)
  rig.fn(AT).model.reset?.()
  rig.fill(0x10_0000, [7])
  rig.pass(200)
  expect([...rig.ram(0x10_0000, 1)]).toEqual([7])
})

test('refuses a place that is none and a configuration space of another size', () => {
  expect(() => new Rig([edu({ at: '1.0' })])).toThrow('edu: "1.0" is not a place such as 00:01.0')
  expect(() => new Rig([edu({ at: AT, config: new Uint8Array(64) })])).toThrow(
    'edu: a configuration space of 64 bytes; 256 are needed',
  )
})
