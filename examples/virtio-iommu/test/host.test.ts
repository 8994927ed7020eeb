/** A function behind a virtio-iommu in the hands of a program: vfio-pci, iommufd, DMA into its buffer. */
import { Client, createHost, Processes, Sysfs } from '@ioasis/core'
import { DMA_ENGINE, DMA_ENGINE_COMMAND, dmaEngine } from '@ioasis/devices'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP, iommufd, MAP_FLAG } from '@ioasis/iommufd'
import { audit } from '@ioasis/testkit'
import { VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_GET_REGION_INFO } from '@ioasis/uapi'
import { vfio } from '@ioasis/vfio'
import { vfioPci } from '@ioasis/vfio-pci'
import { expect, test } from 'vitest'
import { virtioIommu } from '../src/plugin.ts'

test('a program assigns the function to itself: DMA lands in its memory, and faults after unmap', () => {
  const engine = dmaEngine({ at: '00:02.0', addresses: { 0: 0xfe00_0000 } })
  const host = createHost({ plugins: [virtioIommu(), engine, iommufd(), vfio(), vfioPci({ bind: ['00:02.0'] })] })
  const me = new Client(host, host.get(Processes).spawn())
  const device = me.open('/dev/vfio/devices/vfio0')
  const iommu = me.open('/dev/iommu')
  // Messages pass a virtio-iommu by: without an interrupt controller that isolates them root must say that this will do.
  expect(me.attempt(device, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: iommu }).errno).toBe('EPERM')
  host.get(Sysfs).write('/sys/module/iommufd/parameters/allow_unsafe_interrupts', 'Y')
  me.ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: iommu })
  const { out_ioas_id: ioas_id } = me.ioctl(iommu, IOMMU_IOAS_ALLOC)
  me.ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: ioas_id })
  const [iova, length] = [0x10_0000n, 0x1_0000n]
  const buffer = me.mmap({ bytes: length })
  const flags = MAP_FLAG.FIXED_IOVA | MAP_FLAG.READABLE | MAP_FLAG.WRITEABLE
  me.ioctl(iommu, IOMMU_IOAS_MAP, { ioas_id, flags, user_va: buffer, length, iova })
  me.pwrite(device, me.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, { index: 7 }).offset + 4n, Uint8Array.of(6, 0))
  const { offset, size: bytes } = me.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, { index: 0 })
  const bar = me.mmap({ fd: device, offset, bytes })
  const store = (register: number, value: bigint): unknown => me.memWrite(bar + BigInt(register), 4, value)
  store(DMA_ENGINE.BUFFER, 0x0403_0201n)
  store(DMA_ENGINE.IOVA_LO, iova)
  store(DMA_ENGINE.LENGTH, 4n)
  store(DMA_ENGINE.COMMAND, BigInt(DMA_ENGINE_COMMAND.TO_MEMORY))
  expect(Array.from(me.peek(buffer, 4))).toEqual([1, 2, 3, 4])
  expect(audit(host).violations).toEqual([])
  me.ioctl(iommu, IOMMU_IOAS_UNMAP, { ioas_id, iova, length })
  store(DMA_ENGINE.COMMAND, BigInt(DMA_ENGINE_COMMAND.TO_MEMORY))
  expect(me.memRead(bar + BigInt(DMA_ENGINE.RESULT), 4)).toBe(2n)
  me.close(device)
  me.close(iommu)
  expect(audit(host).violations).toEqual([])
  host.close()
})
