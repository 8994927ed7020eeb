/** Functions whose requests carry one id: they have one translation, until the last of them goes. */
import { expect } from 'vitest'
import { applyUnless, type DriverTest, needsPaging } from './driver-test.ts'

const tests: readonly DriverTest[] = [
  {
    title: 'functions behind a bridge that takes their requests over share its requester id',
    run(kit) {
      const [bridge, one, other] = kit.world.plugBridge()
      expect(one.requester).toBe(other.requester)
      expect(bridge.requester).not.toBe(one.requester)
      for (const { iommu, requester } of [bridge, one, other]) expect(iommu.requesterIds).toContain(requester)
    },
  },
  {
    title: 'functions that share a requester id reach what all of them are attached to',
    run(kit) {
      const group = kit.world.plugBridge()
      const domain = kit.domain(group[1])
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.mustAttachAll(group, domain)
      for (const device of group) kit.lands(device, iova, hpa)
      kit.unmap(domain, iova)
      for (const device of group) kit.faults(device, iova)
    },
  },
  {
    title: 'replacing the domain of functions that share a requester id leads all of them to the new one',
    run(kit) {
      const group = kit.world.plugBridge()
      const [old, now] = [kit.domain(group[1]), kit.domain(group[1])]
      const iova = kit.iova(old)
      const [a, b] = [kit.mapNew(old, iova), kit.mapNew(now, iova)]
      kit.mustAttachAll(group, old)
      for (const device of group) kit.lands(device, iova, a)
      kit.mustAttachAll(group, now)
      for (const device of group) kit.lands(device, iova, b)
      old.free()
      for (const device of group) kit.lands(device, iova, b)
    },
  },
  {
    title: 'blocking functions that share a requester id refuses all of them',
    run(kit) {
      const group = kit.world.plugBridge()
      const domain = kit.domain(group[1])
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.mustAttachAll(group, domain)
      for (const device of group) kit.lands(device, iova, hpa)
      kit.mustAttachAll(group, group[1].iommu.blocked)
      for (const device of group) kit.faults(device, iova)
      kit.unmap(domain, iova)
      domain.free()
    },
  },
  {
    title:
      'when one of the functions that share a requester id goes, the others go on; after the last nothing is reached',
    run(kit) {
      const group = kit.world.plugBridge()
      const [bridge, one, other] = group
      const domain = kit.domain(one)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.mustAttachAll(group, domain)
      kit.lands(other, iova, hpa)
      kit.world.unplug(other)
      kit.lands(one, iova, hpa)
      const next = kit.mapNew(domain, iova + kit.bytes(1))
      kit.lands(one, iova + kit.bytes(1), next)
      kit.world.unplug(one)
      kit.refused(one, iova)
      kit.refused(other, iova + kit.bytes(1))
      kit.lands(bridge, iova, hpa)
    },
  },
]

/** Shared requester ids. */
export const sharedRequesterTests: readonly DriverTest[] = applyUnless(needsPaging, tests)
