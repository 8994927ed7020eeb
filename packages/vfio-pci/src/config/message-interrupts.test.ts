import { VFIO_DEVICE_SET_IRQS } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { AT, configAccess, openedWorld } from '../world.test-kit.ts'

const FLAGS = AT.msi + 2

test('MSI is not switched on by writing, nor for more vectors than were asked for', () => {
  const { config } = openedWorld({ msi: 0x0080 })
  config.write(FLAGS, 2, 0xffff)
  expect(config.read(FLAGS, 2)).toBe(0x008e)
})
test("with vectors it stays on; address and data are the user's, the hardware has the kernel's", () => {
  const { vmm, fd, config, fn } = openedWorld({ msi: 0x0080 })
  config.write(AT.msi + 4, 4, 0x1234_5678)
  const event = new Uint8Array(Int32Array.of(vmm.eventfd()).buffer)
  vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: 0x24, index: 1, count: 1 }, event)
  config.write(FLAGS, 2, 0x0081)
  expect([config.read(FLAGS, 2), config.read(AT.msi + 4, 4)]).toEqual([0x0081, 0x1234_5678])
  expect(fn('00:01.0').readConfig(AT.msi + 4, 4)).toBe(0xfee0_0000)
})
test('what was asked for last bounds the queue size, also when MSI is off again', () => {
  const { vmm, fd, config } = openedWorld({ msi: 0x0084 })
  const events = new Uint8Array(Int32Array.of(vmm.eventfd(), vmm.eventfd()).buffer)
  vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: 0x24, index: 1, count: 2 }, events)
  vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: 0x21, index: 1, count: 0 })
  config.write(FLAGS, 2, 0x0071)
  expect(config.read(FLAGS, 2) & 0x71).toBe(0x10)
})
test('it bounds the next user too', () => {
  const { vmm, fd, open } = openedWorld({ msi: 0x0084 })
  const events = new Uint8Array(Int32Array.of(vmm.eventfd(), vmm.eventfd()).buffer)
  vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: 0x24, index: 1, count: 2 }, events)
  vmm.close(fd)
  const again = configAccess(vmm, open())
  again.write(FLAGS, 2, 0x0071)
  expect(again.read(FLAGS, 2) & 0x71).toBe(0x10)
})
