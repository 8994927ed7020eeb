import { Sysfs } from '@ioasis/core'
import { VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_SET_IOMMU } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { type Caps, type ListDomain, vfioWorld } from '../world.test-kit.ts'
import type { VfioGroup } from '../group.ts'

const DIRECTORY = '/sys/module/vfio_iommu_type1/parameters'

function world(name: string, value: string, caps: Caps = {}) {
  const made = vfioWorld({ caps })
  made.add('00:01.0')
  made.host.get(Sysfs).write(`${DIRECTORY}/${name}`, value)
  const { vmm } = made
  const container = vmm.open('/dev/vfio/vfio')
  const [group] = made.vfio.groups as [VfioGroup]
  group.setContainer(vmm.caller, vmm.fds.get(container) as Parameters<VfioGroup['setContainer']>[1])
  const choose = (): number => vmm.ioctl(container, VFIO_SET_IOMMU, 3)
  const map = (iova: bigint, size = 0x1000n): string | undefined =>
    vmm.attempt(container, VFIO_IOMMU_MAP_DMA, { flags: 3, iova, size, vaddr: vmm.mmap({ bytes: Number(size) }) }).errno
  return { ...made, container, choose, map, group }
}

test('the limit of mappings is the one of when the back end was chosen', () => {
  const { host, vmm, container, choose, map } = world('dma_entry_limit', '2\n')
  choose()
  host.get(Sysfs).write(`${DIRECTORY}/dma_entry_limit`, '9')
  expect([map(0n), map(0x1000n), map(0x2000n)]).toEqual([undefined, undefined, 'ENOSPC'])
  const { bytes } = vmm.attempt(container, VFIO_IOMMU_GET_INFO, {}, new Uint8Array(256))
  expect(Array.from(bytes.subarray(24 + 32, 24 + 44))).toEqual([3, 0, 1, 0, 72, 0, 0, 0, 0, 0, 0, 0])
})
test('interrupts that are not isolated are refused until root allows them', () => {
  const caps = { isolatedMsi: false }
  expect(() => world('allow_unsafe_interrupts', 'N', caps).choose()).toThrow('EPERM')
  expect(world('allow_unsafe_interrupts', 'Y\n', caps).choose()).toBe(0)
})
test('without huge pages memory is mapped page by page', () => {
  const { choose, map, group } = world('disable_hugepages', '1')
  choose()
  map(0n, 0x3000n)
  const domain = group.iommu?.domain as ListDomain | undefined
  expect([...(domain?.maps.keys() ?? [])]).toEqual([0n, 0x1000n, 0x2000n])
})
