import { VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { openedWorld } from './world.test-kit.ts'

const deviceFlags = (options: object): number => {
  const { vmm, fd } = openedWorld(options)
  const info = vmm.ioctl(fd, VFIO_DEVICE_GET_INFO)
  expect([info.num_regions, info.num_irqs]).toEqual([9, 5])
  return info.flags
}

test('nine regions and five interrupt indices; whether it can be reset alone', () => {
  expect([deviceFlags({}), deviceFlags({ express: 'flr' })]).toEqual([2, 3])
})
test('BARs by size and kind', () => {
  const { vmm, fd } = openedWorld({ bars: ['memory', 'io', 'wide', 'rom'] })
  const info = (index: number) => {
    const { flags, size, offset } = vmm.ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, { index })
    return [flags, size, offset >> 40n]
  }
  expect([0, 1, 2, 3, 6, 7].map(info)).toEqual([
    [7, 0x2000n, 0n],
    [3, 0x20n, 1n],
    [7, 0x1000n, 2n],
    [0, 0n, 3n],
    [0, 0n, 6n],
    [3, 0x100n, 7n],
  ])
  expect(vmm.attempt(fd, VFIO_DEVICE_GET_REGION_INFO, { index: 8 }).errno).toBe('EINVAL')
})
test('the BAR with the MSI-X table says that its page may be mapped all the same', () => {
  const { vmm, fd } = openedWorld({ msix: 4 })
  const { out, bytes } = vmm.attempt(fd, VFIO_DEVICE_GET_REGION_INFO, {}, new Uint8Array(8))
  expect([out.flags, out.cap_offset, bytes[32]]).toEqual([15, 32, 3])
})
test('interrupts: only MSI-X can grow; errors exist on PCI Express alone', () => {
  const { vmm, fd } = openedWorld({ msi: 0x0006, msix: 4, pin: 1 })
  const info = (index: number): (number | string)[] => {
    const { errno, out } = vmm.attempt(fd, VFIO_DEVICE_GET_IRQ_INFO, { index })
    return errno ? [errno] : [out.flags, out.count]
  }
  expect([0, 1, 2, 3, 4, 5].map(info)).toEqual([[7, 1], [9, 8], [1, 4], ['EINVAL'], [9, 1], ['EINVAL']])
})
