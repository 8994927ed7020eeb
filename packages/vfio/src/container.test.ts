import { VFIO_CHECK_EXTENSION, VFIO_EXTENSION, VFIO_GET_API_VERSION, VFIO_SET_IOMMU } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { Container } from './container.ts'
import { Type1Backend } from './type1/backend.ts'
import { vfioWorld } from './world.test-kit.ts'

const {
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_DMA_CC_IOMMU,
  VFIO_UPDATE_VADDR,
  VFIO_SPAPR_TCE_IOMMU,
} = VFIO_EXTENSION

function opened(enforcesCoherency = false) {
  const world = vfioWorld({ caps: { enforcesCoherency } })
  world.add('00:01.0')
  world.add('00:02.0')
  const container = new Container([new Type1Backend(4096)])
  const fd = world.vmm.adopt(container)
  const ask = (extension: number): number => world.vmm.ioctl(fd, VFIO_CHECK_EXTENSION, extension)
  return { ...world, container, fd, ask, groups: world.vfio.groups }
}

test('a fresh container affirms what its back ends offer, and no ability that needs an IOMMU', () => {
  const { vmm, fd, ask } = opened()
  expect(vmm.ioctl(fd, VFIO_GET_API_VERSION)).toBe(0)
  expect([VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL].map(ask)).toEqual([1, 1, 1])
  expect([VFIO_DMA_CC_IOMMU, VFIO_UPDATE_VADDR, VFIO_SPAPR_TCE_IOMMU].map(ask)).toEqual([0, 0, 0])
  expect(() => vmm.ioctl(fd, 0x3bff, 0n)).toThrow('EINVAL')
})
test('a back end needs a group, is chosen once, and goes with the last group', () => {
  const { vmm, fd, container, groups } = opened()
  const choose = (type: number): number => vmm.ioctl(fd, VFIO_SET_IOMMU, type)
  expect(() => choose(VFIO_TYPE1v2_IOMMU)).toThrow('EINVAL')
  groups[0]?.setContainer(vmm.caller, container)
  expect(() => choose(VFIO_SPAPR_TCE_IOMMU)).toThrow('ENODEV')
  expect(() => choose(VFIO_UNMAP_ALL)).toThrow('EINVAL')
  expect(choose(VFIO_TYPE1v2_IOMMU)).toBe(0)
  expect(() => choose(VFIO_TYPE1v2_IOMMU)).toThrow('EINVAL')
  expect(() => vmm.ioctl(fd, 0x3bff, 0n)).toThrow('ENOTTY')
  groups[0]?.unsetContainer()
  expect(container.chosen).toBe(false)
})
test('coherency is what the attached IOMMUs enforce', () => {
  for (const enforces of [false, true]) {
    const { container, groups, ask, vmm, fd } = opened(enforces)
    groups[0]?.setContainer(vmm.caller, container)
    vmm.ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)
    expect(ask(VFIO_DMA_CC_IOMMU)).toBe(enforces ? 1 : 0)
  }
})
test('a group that cannot join keeps its DMA', () => {
  const { container, groups, vmm } = opened()
  groups[0]?.iommu?.use()
  expect(() => groups[0]?.setContainer(vmm.caller, container)).toThrow('EPERM')
  groups[1]?.setContainer(vmm.caller, container)
  expect([groups[0]?.hasIommu, groups[1]?.iommu?.owner]).toEqual([false, groups[1]])
})
test('a group that the back end refuses is left as it was', () => {
  const { container, groups, vmm, fd } = ((): ReturnType<typeof opened> => {
    const world = vfioWorld({ caps: { isolatedMsi: false } })
    world.add('00:01.0')
    const own = new Container([new Type1Backend(4096)])
    return { ...world, container: own, fd: world.vmm.adopt(own), ask: () => 0, groups: world.vfio.groups }
  })()
  groups[0]?.setContainer(vmm.caller, container)
  expect(() => vmm.ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)).toThrow('EPERM')
  expect([container.chosen, groups[0]?.iommu?.domain?.type]).toEqual([false, 'blocked'])
})
