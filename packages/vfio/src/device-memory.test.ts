import type { BoundAccess } from '@ioasis/core'
import {
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_IOMMU_MAP_DMA,
  VFIO_SET_IOMMU,
} from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { accessMemory } from './device-memory.ts'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

test('through an access, where in the page an iova lies does not matter, and each page has its hpa', () => {
  const asked: unknown[] = []
  const access = {
    pin: (iova: bigint, bytes: bigint, { write }: { write: boolean }) => {
      asked.push([iova, bytes, write])
      return [
        { hpa: 0x10000, bytes: 0x2000 },
        { hpa: 0x50000, bytes: 0x1000 },
      ]
    },
    unpin: (iova: bigint, bytes: bigint) => void asked.push([iova, bytes]),
  } as unknown as BoundAccess
  const memory = accessMemory(access, 4096)
  expect([...memory.pin(0x1abcn, 3, { write: true })]).toEqual([0x10000, 0x11000, 0x50000])
  memory.unpin(0x1abcn, 3)
  expect(asked).toEqual([
    [0x1000n, 0x3000n, true],
    [0x1000n, 0x3000n],
  ])
  expect(() => memory.pin(0n, 0, { write: false })).toThrow('EINVAL')
})
test('through a type1 container an emulated device reaches what its user mapped, and is told before it goes', () => {
  const { add, vmm } = vfioWorld()
  const driver = add('mediated')
  const group = vmm.open(`/dev/vfio/${driver.registration.group}`)
  const container = vmm.open('/dev/vfio/vfio')
  vmm.ioctl(group, VFIO_GROUP_SET_CONTAINER, vmm.put(new Uint8Array(Int32Array.of(container).buffer)))
  vmm.ioctl(container, VFIO_SET_IOMMU, 3)
  const vaddr = vmm.mmap({ bytes: 4096 })
  vmm.ioctl(container, VFIO_IOMMU_MAP_DMA, { flags: 3, iova: 0x8000n, size: 0x1000n, vaddr })
  const device = vmm.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, vmm.putText('mediated'))
  const memory = driver.use?.memory
  if (!memory) throw new Error('an emulated device has memory')
  memory.copy(vmm.caller, 0x8004n, Uint8Array.of(7), { write: true })
  expect(vmm.peek(vaddr, 5)[4]).toBe(7)
  expect(() => memory.pin(0x8000n, 513, { write: true })).toThrow('E2BIG')
  let told = 0n
  driver.unmapped = (first) => {
    told = first
    memory.unpin(0x8000n, 1)
  }
  memory.pin(0x8000n, 1, { write: true })
  vmm.close(container)
  vmm.close(group)
  vmm.ioctl(device, 0x3b6f)
  memory.unpin(0x8000n, 1)
  vmm.close(device)
  expect(told).toBe(0n)
})
test('a device with an IOMMU is given none', () => {
  const { add, vmm } = vfioWorld()
  const driver = add('00:01.0')
  const fd = vmm.open('/dev/vfio/devices/vfio0')
  vmm.ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: vmm.adopt(new SpaceFile()) })
  expect(driver.use?.memory).toBeUndefined()
})
