/** No Snoop: honoured while a domain does not enforce coherency, overridden from the moment it does. */
import type { PagingDomain } from '@ioasis/core'
import { DMA } from '@ioasis/core'
import { expect } from 'vitest'
import { applyUnless, type DriverTest, needsPaging } from './driver-test.ts'
import type { DriverFixture } from './fixture.ts'
import type { WorldDevice } from './world.ts'

const needsCoherency = (kit: DriverFixture): string | undefined => {
  const reason = needsPaging(kit)
  if (reason) return reason
  const domain = kit.domain()
  const able = kit.first.iommu.caps.enforcesCoherency && domain.coherency
  domain.free()
  return able ? undefined : 'this hardware cannot override No Snoop'
}

/** Some hardware's entries ignore No Snoop from the start (AMD v1 as Linux writes it): there is nothing to be enforced. */
const unlessAlways = (kit: DriverFixture): string | undefined => {
  const reason = needsCoherency(kit)
  if (reason) return reason
  const domain = kit.domain()
  const always = domain.coherency?.enforced === true
  domain.free()
  return always ? 'every domain enforces coherency from the start' : undefined
}
/** For the tests of two units: whether the second one, too, can. */
const unlessAllCan = (kit: DriverFixture): string | undefined =>
  needsCoherency(kit) ??
  (kit.elsewhere.iommu.caps.enforcesCoherency ? 'all units of this hardware can override No Snoop' : undefined)

/** Sends a No Snoop write. @returns whether the caches were asked all the same */
function snooped(kit: DriverFixture, device: WorldDevice, iova: bigint): boolean {
  const { request } = device.port
  request.noSnoop = true
  try {
    expect(kit.write(device, iova)).toBe(DMA.OK)
    return request.out.snooped
  } finally {
    request.noSnoop = false
  }
}
const enforce = (domain: PagingDomain): boolean => domain.coherency?.enforce() ?? false

const tests: readonly DriverTest[] = [
  {
    title: 'No Snoop is honoured while the domain does not enforce coherency',
    unless: unlessAlways,
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      kit.mapNew(domain, iova)
      expect(domain.coherency?.enforced).toBe(false)
      expect(snooped(kit, kit.first, iova)).toBe(false)
      kit.write(kit.first, iova)
      expect(kit.first.port.request.out.snooped, 'a request without No Snoop').toBe(true)
    },
  },
  {
    title: 'an enforcing domain overrides No Snoop',
    run(kit) {
      const domain = kit.attachedDomain()
      expect(enforce(domain)).toBe(true)
      expect(domain.coherency?.enforced).toBe(true)
      const iova = kit.iova(domain)
      kit.mapNew(domain, iova)
      expect(snooped(kit, kit.first, iova)).toBe(true)
      kit.map(domain, iova + 0x40_0000n, kit.world.pages.alloc(2 << 20), 2 << 20)
      expect(snooped(kit, kit.first, iova + 0x40_0000n)).toBe(true)
    },
  },
  {
    title: 'a large mapping of an enforcing domain that is cut overrides No Snoop in what is left',
    run(kit) {
      const domain = kit.attachedDomain()
      enforce(domain)
      const iova = kit.iova(domain)
      kit.map(domain, iova, kit.world.pages.alloc(2 << 20), 2 << 20)
      kit.unmap(domain, iova)
      expect(snooped(kit, kit.first, iova + kit.bytes(1))).toBe(true)
    },
  },
  {
    title: 'enforcing over what is mapped already covers it or is refused',
    unless: unlessAlways,
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      kit.mapNew(domain, iova)
      expect(snooped(kit, kit.first, iova)).toBe(false)
      const done = enforce(domain)
      expect(domain.coherency?.enforced).toBe(done)
      expect(snooped(kit, kit.first, iova)).toBe(done)
    },
  },
  {
    title: 'enforcing twice is enforcing once',
    run(kit) {
      const domain = kit.attachedDomain()
      expect([enforce(domain), enforce(domain)]).toEqual([true, true])
    },
  },
  {
    title: 'a unit that cannot override No Snoop says so before any domain exists',
    units: 2,
    unless: unlessAllCan,
    run(kit) {
      expect(kit.elsewhere.iommu.caps.enforcesCoherency).toBe(false)
    },
  },
  {
    title: 'a domain on a unit that cannot override No Snoop refuses to enforce',
    units: 2,
    unless: unlessAllCan,
    run(kit) {
      const domain = kit.attachedDomain(kit.elsewhere)
      const iova = kit.iova(domain)
      kit.mapNew(domain, iova)
      expect(enforce(domain)).toBe(false)
      expect(domain.coherency?.enforced ?? false).toBe(false)
      expect(snooped(kit, kit.elsewhere, iova)).toBe(false)
    },
  },
  {
    title: 'a domain on two units of which one cannot refuses to enforce, and stays as it was on the other',
    units: 2,
    unless: unlessAllCan,
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      if (kit.attach(kit.elsewhere, domain) === 'incompatible') return
      expect(enforce(domain)).toBe(false)
      const iova = kit.iova(domain)
      kit.mapNew(domain, iova)
      expect(snooped(kit, kit.first, iova)).toBe(false)
    },
  },
  {
    title: 'an enforcing domain does not fit a unit that cannot, and the device stays where it was',
    units: 2,
    unless: unlessAllCan,
    run(kit) {
      const own = kit.attachedDomain(kit.elsewhere)
      const iova = kit.iova(own)
      const hpa = kit.mapNew(own, iova)
      kit.lands(kit.elsewhere, iova, hpa)
      const domain = kit.attachedDomain(kit.first)
      expect(enforce(domain)).toBe(true)
      expect(kit.attach(kit.elsewhere, domain)).toBe('incompatible')
      kit.lands(kit.elsewhere, iova, hpa)
    },
  },
]

/** Coherency. */
export const coherencyTests: readonly DriverTest[] = applyUnless(needsCoherency, tests)
