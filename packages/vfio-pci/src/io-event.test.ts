import { VFIO_DEVICE_IOEVENTFD } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { openedWorld } from './world.test-kit.ts'

function opened() {
  const world = openedWorld({ msix: 4 })
  world.config.write(0x04, 2, 2)
  const event = world.vmm.eventfd()
  const set = (values: object): string | undefined =>
    world.vmm.attempt(world.fd, VFIO_DEVICE_IOEVENTFD, {
      flags: 4,
      offset: 0x1000n,
      data: 0x1234n,
      fd: event,
      ...values,
    }).errno
  return { ...world, event, set }
}
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)

test('each signal becomes the write, until it is taken away', () => {
  const { vmm, event, set, model } = opened()
  expect(set({})).toBeUndefined()
  vmm.write(event, ONE)
  expect([...model.registers.subarray(0x1000, 0x1002)]).toEqual([0x34, 0x12])
  expect(set({ fd: -1 })).toBeUndefined()
  model.registers.fill(0)
  vmm.write(event, ONE)
  expect(model.registers[0x1000]).toBe(0)
})
test('the same write twice is EEXIST, one that is not there ENODEV', () => {
  const { set } = opened()
  set({})
  expect([set({}), set({ data: 1n, fd: -1 })]).toEqual(['EEXIST', 'ENODEV'])
})
test.each([
  ['no width', { flags: 0 }],
  ['two widths', { flags: 12 }],
  ['an unknown flag', { flags: 16 }],
  ['8 bytes', { flags: 8 }],
  ['another region than a BAR', { offset: 7n << 40n }],
  ['beyond the end', { offset: 0x1ffen }],
  ['the MSI-X table', { offset: 0n }],
  ['a short struct', { argsz: 16 }],
])('refuses %s', (_what, values) => {
  expect(opened().set(values)).toBe('EINVAL')
})
test('while memory is off the write is lost', () => {
  const { vmm, event, set, model, config } = opened()
  set({})
  config.write(0x04, 2, 0)
  vmm.write(event, ONE)
  expect(model.registers[0x1000]).toBe(0)
})
