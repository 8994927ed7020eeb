import {
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  vfioIommuType1DirtyBitmapGet,
} from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { Container } from '../container.ts'
import { vfioWorld } from '../world.test-kit.ts'
import { Type1Backend } from './backend.ts'

function opened() {
  const world = vfioWorld()
  world.add('00:01.0')
  const container = new Container([new Type1Backend(4096)])
  world.vfio.groups[0]?.setContainer(world.vmm.caller, container)
  container.setIommu(world.vmm.caller, 3)
  const { vmm } = world
  const fd = vmm.adopt(container)
  const vaddr = vmm.mmap({ bytes: 0x10000 })
  const map = (values: object): string | undefined =>
    vmm.attempt(fd, VFIO_IOMMU_MAP_DMA, { flags: 3, vaddr, iova: 0x100000n, size: 0x1000n, ...values }).errno
  const unmap = (values: object): string | bigint => {
    const { errno, out } = vmm.attempt(fd, VFIO_IOMMU_UNMAP_DMA, { iova: 0x100000n, size: 0x1000n, ...values })
    return errno ?? out.size
  }
  return { ...world, fd, vaddr, map, unmap }
}

test.each([
  ['no size', { size: 0n }, 'EINVAL'],
  ['a wrapping iova', { iova: 0xffff_ffff_ffff_f000n, size: 0x2000n }, 'EOVERFLOW'],
  ['a wrapping address', { vaddr: 0xffff_ffff_ffff_f000n, size: 0x2000n }, 'EOVERFLOW'],
  ['no right', { flags: 0 }, 'EINVAL'],
  ['a new address and rights at once', { flags: 7 }, 'EINVAL'],
  ['a part of a page', { size: 0x800n }, 'EINVAL'],
  ['an unknown flag', { flags: 0x13 }, 'EINVAL'],
  ['a struct that is too short', { argsz: 31 }, 'EINVAL'],
])('mapping refuses %s', (_what, values, errno) => {
  expect(opened().map(values)).toBe(errno)
})
test.each([
  ['no size', { size: 0n }, 'EINVAL'],
  ['a part of a page', { iova: 0x800n }, 'EINVAL'],
  ['a wrapping range', { iova: 0xffff_ffff_ffff_f000n, size: 0x2000n }, 'EOVERFLOW'],
  ['all, and a range', { flags: 2, iova: 0n }, 'EINVAL'],
  ['a bitmap while nothing is tracked', { flags: 1 }, 'EINVAL'],
])('unmapping refuses %s', (_what, values, errno) => {
  expect(opened().unmap(values)).toBe(errno)
})
test('unmapping tells how much was mapped, 0 for nothing', () => {
  const { map, unmap } = opened()
  map({ size: 0x3000n })
  expect([unmap({ flags: 2, iova: 0n, size: 0n }), unmap({})]).toEqual([0x3000n, 0n])
})
test('memory may lie elsewhere once its address was taken back', () => {
  const { map, unmap } = opened()
  map({})
  expect([map({ flags: 4 }), map({ flags: 4, iova: 0x900000n })]).toEqual(['EINVAL', 'ENOENT'])
  expect([unmap({ flags: 4 }), unmap({ flags: 4 }), map({ flags: 4, size: 0x2000n }), map({ flags: 4 })]).toEqual([
    0x1000n,
    'EINVAL',
    'EINVAL',
    undefined,
  ])
})
test('info has a chain of migration, mappings left and iovas', () => {
  const { vmm, fd } = opened()
  const small = vmm.ioctl(fd, VFIO_IOMMU_GET_INFO, { argsz: 16 })
  expect([small.argsz, small.flags, small.iova_pgsizes]).toEqual([120, 3, 0x1000n])
  const { out, bytes } = vmm.attempt(fd, VFIO_IOMMU_GET_INFO, {}, new Uint8Array(96))
  expect([out.cap_offset, bytes[24], bytes[56], bytes[72]]).toEqual([24, 2, 3, 1])
})
test('while tracking, all that is mapped reads as written', () => {
  const { vmm, fd, map } = opened()
  const dirty = (flags: number, tail?: Uint8Array): string | undefined =>
    vmm.attempt(fd, VFIO_IOMMU_DIRTY_PAGES, { flags }, tail).errno
  map({ iova: 0x101000n, size: 0x2000n })
  const data = vmm.put(new Uint8Array(8))
  const range = vfioIommuType1DirtyBitmapGet.make({
    iova: 0x100000n,
    size: 0x4000n,
    bitmap: { pgsize: 0x1000n, size: 8n, data },
  })
  expect([dirty(4, range), dirty(3), dirty(1), dirty(1), dirty(4, range)]).toEqual([
    'EINVAL',
    'EINVAL',
    undefined,
    undefined,
    undefined,
  ])
  expect(vmm.peek(data, 1)).toEqual(Uint8Array.of(0b0110))
  expect([dirty(2), dirty(2), dirty(4, range)]).toEqual([undefined, undefined, 'EINVAL'])
})
