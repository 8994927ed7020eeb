/** Memory that firmware says a function keeps using (RMRR): always reached, and so never given to an owner. */
import { type Group, IommuGroups, type ReservedRegion, UapiError } from '@ioasis/core'
import { expect } from 'vitest'
import type { DriverTest } from './driver-test.ts'
import { applyUnless } from './driver-test.ts'
import type { DriverFixture } from './fixture.ts'
import type { WorldDevice } from './world.ts'

/** Where the function stands that `WORLD_RESERVED` is for. */
const SLOT = 8
const directOf = ({ iommu }: WorldDevice): ReservedRegion | undefined => iommu.reserved.find((r) => r.type === 'direct')

const needsReserved = (kit: DriverFixture): string | undefined => {
  const device = kit.world.plug(SLOT)
  const found = directOf(device)
  kit.world.unplug(device)
  return found ? undefined : 'firmware reserves no memory in this world'
}

/** The function, its region and its group. */
function plugged(kit: DriverFixture): { device: WorldDevice; region: ReservedRegion; group: Group } {
  const device = kit.world.plug(SLOT)
  const group = kit.world.host.find(IommuGroups)?.groupOf(device.iommu)
  const region = directOf(device)
  if (!group || !region) throw new Error('the function of the reserved memory is in no group, or lost its region')
  return { device, region, group }
}
/** Both ends of the region are reached at their own addresses. */
function reaches(kit: DriverFixture, device: WorldDevice, { first, last }: ReservedRegion): void {
  kit.lands(device, first, Number(first))
  kit.lands(device, last - 7n, Number(last - 7n))
}

const tests: readonly DriverTest[] = [
  {
    title: 'reserved memory is reached from the moment its function is there, and nothing beside it',
    run(kit) {
      const { device, region } = plugged(kit)
      reaches(kit, device, region)
      if (device.iommu.defaultDomain.type !== 'paging') return
      kit.faults(device, region.first - 8n)
      kit.faults(device, region.last + 1n)
    },
  },
  {
    title: 'other functions do not reach reserved memory through the default domain',
    run(kit) {
      const { region } = plugged(kit)
      if (kit.first.iommu.defaultDomain.type === 'paging') kit.faults(kit.first, region.first)
      else kit.lands(kit.first, region.first, Number(region.first))
    },
  },
  {
    title: 'a group that needs reserved memory cannot be blocked, and so has no owner',
    run(kit) {
      const { device, region, group } = plugged(kit)
      const owner = {}
      for (const shared of [false, true]) {
        expect(() => group.claim(owner, shared)).toThrow(UapiError)
        expect(() => group.claim(owner, shared)).toThrow('EINVAL')
      }
      expect(group.owner).toBeUndefined()
      expect(group.domain).toBe(group.defaultDomain)
      reaches(kit, device, region)
    },
  },
  {
    title: 'a function with reserved memory gives back what it took, and leaves nothing reachable',
    run(kit) {
      const { pages } = kit.world
      kit.world.unplug(plugged(kit).device)
      const before = pages.allocated
      const { device, region } = plugged(kit)
      kit.lands(device, region.first, Number(region.first))
      kit.world.unplug(device)
      kit.refused(device, region.first)
      expect(pages.allocated).toBe(before)
    },
  },
]

/** Reserved memory. */
export const reservedMemoryTests: readonly DriverTest[] = applyUnless(needsReserved, tests)
