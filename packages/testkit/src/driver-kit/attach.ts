/** Attaching, replacing, detaching: DMA sees one domain, the right one, at every moment. */
import { DMA } from '@ioasis/core'
import { expect } from 'vitest'
import { applyUnless, type DriverTest, needsPaging } from './driver-test.ts'

const tests: readonly DriverTest[] = [
  {
    title: 'replacing a domain leads to the new one at once',
    run(kit) {
      const [old, now] = [kit.attachedDomain(), kit.domain()]
      const iova = kit.iova(old)
      const [a, b] = [kit.mapNew(old, iova), kit.mapNew(now, iova)]
      kit.lands(kit.first, iova, a)
      kit.mustAttach(kit.first, now)
      const left = kit.peek(a)
      kit.lands(kit.first, iova, b)
      expect(kit.peek(a), 'the page of the old domain').toEqual(left)
      kit.mustAttach(kit.first, old)
      kit.lands(kit.first, iova, a)
    },
  },
  {
    title: 'while a domain is replaced DMA sees the old or the new one, never a refusal',
    run(kit) {
      const [old, now] = [kit.attachedDomain(), kit.domain()]
      const iova = kit.iova(old)
      const [a, b] = [kit.mapNew(old, iova), kit.mapNew(now, iova)]
      kit.world.cpus[0].write(a, Uint8Array.of(1))
      kit.world.cpus[0].write(b, Uint8Array.of(2))
      const seen: number[] = []
      const got = new Uint8Array(1)
      const look = (): void => {
        const status = kit.first.port.read(iova, got)
        seen.push(status === DMA.OK ? (got[0] as number) : -status)
      }
      kit.world.between(look, () => kit.mustAttach(kit.first, now))
      look()
      expect(
        seen.filter((n) => n !== 1 && n !== 2),
        'what DMA read beside 1, old, and 2, new',
      ).toEqual([])
      expect(seen, 'what DMA read, 1 old and 2 new, in its order').toEqual(seen.toSorted((x, y) => x - y))
      expect(seen.at(-1)).toBe(2)
    },
  },
  {
    title: 'the blocked domain refuses everything',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      kit.mustAttach(kit.first, kit.first.iommu.blocked)
      kit.faults(kit.first, iova)
      kit.faults(kit.first, BigInt(hpa))
      kit.mustAttach(kit.first, domain)
      kit.lands(kit.first, iova, hpa)
    },
  },
  {
    title: 'a device that leaves a domain leaves the others in it',
    run(kit) {
      const home = kit.attached(kit.first)
      const domain = kit.attachedDomain(kit.first)
      kit.mustAttach(kit.second, domain)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      kit.mustAttach(kit.first, home)
      kit.lands(kit.second, iova, hpa)
      kit.unmap(domain, iova)
      kit.faults(kit.second, iova)
    },
  },
  {
    title: 'a domain filled before it is attached is reached afterwards',
    run(kit) {
      const domain = kit.domain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.mustAttach(kit.first, domain)
      kit.lands(kit.first, iova, hpa)
    },
  },
  {
    title: 'what changed in a domain while the device was away is seen when it comes back',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      kit.lands(kit.first, iova, kit.mapNew(domain, iova))
      kit.mustAttach(kit.first, kit.first.iommu.blocked)
      kit.unmap(domain, iova)
      const hpa = kit.mapNew(domain, iova)
      kit.mustAttach(kit.first, domain)
      kit.lands(kit.first, iova, hpa)
    },
  },
  {
    title: 'attaching a device leaves the others where they are',
    run(kit) {
      const domain = kit.attachedDomain(kit.second)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.second, iova, hpa)
      const other = kit.attachedDomain(kit.first)
      kit.faults(kit.first, iova)
      kit.lands(kit.second, iova, hpa)
      kit.lands(kit.first, iova, kit.mapNew(other, iova))
    },
  },
  {
    title: 'a domain on two units is reached through both',
    units: 2,
    across: true,
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      const iova = kit.iova(domain)
      const before = kit.mapNew(domain, iova)
      kit.mustAttach(kit.elsewhere, domain)
      const after = kit.mapNew(domain, iova + kit.bytes(1))
      kit.lands(kit.elsewhere, iova, before)
      kit.lands(kit.elsewhere, iova + kit.bytes(1), after)
      kit.lands(kit.first, iova + kit.bytes(1), after)
    },
  },
  {
    title: 'a domain that does not fit another unit is refused there, and the device stays where it was',
    units: 2,
    unless(kit) {
      const domain = kit.domain(kit.first)
      const fits = kit.attach(kit.elsewhere, domain) === 'ok'
      if (fits) kit.mustAttach(kit.elsewhere, kit.elsewhere.iommu.blocked)
      domain.free()
      return fits ? 'its domains fit both units' : undefined
    },
    run(kit) {
      const own = kit.attachedDomain(kit.elsewhere)
      const iova = kit.iova(own)
      const hpa = kit.mapNew(own, iova)
      const other = kit.attachedDomain(kit.first)
      kit.mapNew(other, iova)
      expect(kit.attach(kit.elsewhere, other)).toBe('incompatible')
      kit.lands(kit.elsewhere, iova, hpa)
      kit.mustAttach(kit.first, kit.first.iommu.blocked)
      other.free()
      kit.lands(kit.elsewhere, iova, hpa)
    },
  },
  {
    title: 'a function that takes the place of another inherits nothing from it',
    run(kit) {
      const gone = kit.world.plug(9)
      const domain = kit.attachedDomain(gone)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(gone, iova, hpa)
      kit.world.unplug(gone)
      const device = kit.world.plug(9)
      kit.mustAttach(device, kit.domain(device))
      kit.faults(device, iova)
      kit.mustAttach(device, domain)
      kit.lands(device, iova, hpa)
    },
  },
  {
    title: 'a function that goes while it is attached leaves nothing reachable under its requester id',
    run(kit) {
      const device = kit.world.plug(9)
      const domain = kit.attachedDomain(device)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(device, iova, hpa)
      kit.world.unplug(device)
      kit.refused(device, iova)
      kit.refused(device, BigInt(hpa))
      kit.mapNew(domain, iova + kit.bytes(1))
      kit.refused(device, iova + kit.bytes(1))
      domain.free()
    },
  },
  {
    title: 'freeing a domain that is attached is a broken promise',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      expect(() => domain.free()).toThrow(/./)
      kit.lands(kit.first, iova, hpa)
    },
  },
]

const anyDriver: readonly DriverTest[] = [
  {
    title: 'at boot a device is attached as its default domain says',
    run(kit) {
      const hpa = kit.memory()
      const { type } = kit.first.iommu.defaultDomain
      if (type === 'identity') kit.lands(kit.first, BigInt(hpa), hpa)
      else kit.faults(kit.first, BigInt(hpa))
    },
  },
  {
    title: 'the identity domain passes addresses through',
    unless: (kit) => (kit.first.iommu.identity ? undefined : 'this hardware passes nothing through'),
    run(kit) {
      const { identity } = kit.first.iommu
      if (!identity) return
      kit.mustAttach(kit.first, identity)
      const hpa = kit.memory()
      kit.lands(kit.first, BigInt(hpa), hpa)
      kit.mustAttach(kit.first, kit.first.iommu.blocked)
      kit.faults(kit.first, BigInt(hpa))
    },
  },
  {
    title: 'a device has its own requester id, and says what it must leave alone',
    run(kit) {
      expect(kit.first.iommu.requesterIds).toContain(kit.first.requester)
      for (const { first, last } of kit.first.iommu.reserved) expect(first).toBeLessThanOrEqual(last)
    },
  },
  {
    title: 'a function added later is served, and gives back what it took when it goes',
    run(kit) {
      const { pages } = kit.world
      kit.world.unplug(kit.world.plug(9))
      const before = pages.allocated
      const device = kit.world.plug(9)
      expect(device.iommu.requesterIds).toContain(device.requester)
      const hpa = 0x8000
      if (device.iommu.defaultDomain.type === 'identity') kit.lands(device, BigInt(hpa), hpa)
      else kit.faults(device, BigInt(hpa))
      kit.world.unplug(device)
      expect(pages.allocated).toBe(before)
    },
  },
]

/** Attaching and detaching. */
export const attachTests: readonly DriverTest[] = [...anyDriver, ...applyUnless(needsPaging, tests)]
