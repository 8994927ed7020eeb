import {
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
} from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

function bound() {
  const world = vfioWorld()
  const driver = world.add('00:01.0')
  const file = world.vmm.open('/dev/vfio/devices/vfio0')
  world.vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: world.vmm.adopt(new SpaceFile()) })
  return { ...world, driver, file }
}

test('device info counts regions and interrupts; 16 bytes of it are enough', () => {
  const { vmm, file } = bound()
  const { flags, num_regions, num_irqs, cap_offset } = vmm.ioctl(file, VFIO_DEVICE_GET_INFO)
  expect([flags, num_regions, num_irqs, cap_offset]).toEqual([2, 2, 2, 0])
  expect(vmm.attempt(file, VFIO_DEVICE_GET_INFO, { argsz: 16 }).errno).toBeUndefined()
  expect(vmm.attempt(file, VFIO_DEVICE_GET_INFO, { argsz: 15 }).errno).toBe('EINVAL')
})
test('a region with capabilities says how much room they need, and gives them when there is', () => {
  const { vmm, file } = bound()
  const small = vmm.ioctl(file, VFIO_DEVICE_GET_REGION_INFO, { index: 1, argsz: 32 })
  expect([small.argsz, small.flags, small.cap_offset]).toEqual([40, 11, 0])
  const { out, bytes } = vmm.attempt(file, VFIO_DEVICE_GET_REGION_INFO, { index: 1 }, new Uint8Array(8))
  expect([out.argsz, out.cap_offset, bytes.slice(32)]).toEqual([40, 32, Uint8Array.of(3, 0, 1, 0, 0, 0, 0, 0)])
  expect(vmm.ioctl(file, VFIO_DEVICE_GET_REGION_INFO, { index: 0, flags: 0xffff }).flags).toBe(3)
})
test("interrupts and reset are the driver's", () => {
  const { vmm, file, driver } = bound()
  expect(vmm.ioctl(file, VFIO_DEVICE_GET_IRQ_INFO, { index: 1 }).count).toBe(2)
  vmm.ioctl(file, VFIO_DEVICE_RESET)
  expect(driver.log).toContain('reset')
})
