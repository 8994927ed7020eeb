import { expect, test } from 'vitest'
import { Container } from './container.ts'
import { Type1Backend } from './type1/backend.ts'
import { vfioWorld } from './world.test-kit.ts'

function group() {
  const world = vfioWorld({ caps: { enforcesCoherency: true } })
  world.add('00:02.0')
  const [found] = world.vfio.groups
  if (!found) throw new Error('no group')
  return { ...world, group: found }
}

test('devices of one IOMMU group are in one VFIO group, and all must be coherent', () => {
  const { add, vfio, group: first } = group()
  add('00:02.1')
  expect([vfio.groups.length, first.devices.size, first.enforcedCoherent]).toEqual([1, 2, true])
})
test("a container claims the group's DMA, and gives it back", () => {
  const { group: one, vmm } = group()
  one.setContainer(vmm.caller, new Container([]))
  expect([one.hasIommu, one.inContainer, one.iommu?.owner]).toEqual([true, true, one])
  one.unsetContainer()
  expect([one.hasIommu, one.iommu?.owner]).toEqual([false, undefined])
  expect(() => one.unsetContainer()).toThrow('EINVAL')
})
test('a device uses the container once a back end is chosen, and keeps it', () => {
  const { group: one, vmm } = group()
  const container = new Container([new Type1Backend(4096)])
  one.setContainer(vmm.caller, container)
  expect(() => one.useContainer(vmm.caller)).toThrow('EINVAL')
  container.setIommu(vmm.caller, 1)
  const done = one.useContainer(vmm.caller)
  expect(() => one.unsetContainer()).toThrow('EBUSY')
  done.end()
  one.unsetContainer()
})
