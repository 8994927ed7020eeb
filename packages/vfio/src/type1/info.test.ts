import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { Type1Backend } from './backend.ts'
import { infoCapabilities } from './info.ts'

test('without an IOMMU there is no list of iovas', () => {
  const { vmm } = vfioWorld()
  const type1 = new Type1Backend(4096).open(vmm.caller, 3)
  expect(infoCapabilities(type1).map(({ id }) => id)).toEqual([2, 3])
})
test('with one, it lists what can be mapped', () => {
  const { vmm, add, vfio } = vfioWorld()
  add('00:01.0')
  const type1 = new Type1Backend(4096).open(vmm.caller, 3)
  const [group] = vfio.groups
  group?.iommu?.claim(type1, false)
  if (group) type1.attach(group, vmm.caller)
  const ranges = infoCapabilities(type1).find(({ id }) => id === 1)?.body
  expect([ranges?.length, ranges?.[0]]).toEqual([40, 2])
})
