/** Table pages: none is lost, and where one cannot be had nothing has changed. */
import { pageRuns } from '@ioasis/core'
import { expect } from 'vitest'
import { applyUnless, type DriverTest, needsPaging } from './driver-test.ts'

const tests: readonly DriverTest[] = [
  {
    title: 'when an allocation fails a map has changed nothing',
    run(kit) {
      const domain = kit.attachedDomain()
      const { pages } = kit.world
      const near = kit.iova(domain)
      const old = kit.mapNew(domain, near)
      const at = (near + 0x40_0000n) | 0x1f_0000n
      const hpa = kit.memory(64)
      const before = pages.allocated
      kit.failingEachAllocation(
        () => kit.mapRuns(domain, at, pageRuns([hpa + 32 * kit.page, 32 * kit.page], [hpa, 32 * kit.page])),
        () => {
          expect(pages.allocated, 'table pages').toBe(before)
          for (const n of [0, 1, 31, 32, 63]) kit.faults(kit.first, at + kit.bytes(n))
          expect(domain.lookup(at)).toBeUndefined()
          kit.lands(kit.first, near, old)
        },
      )
      kit.lands(kit.first, at, hpa + 32 * kit.page)
      kit.lands(kit.first, at + kit.bytes(63), hpa + 31 * kit.page)
    },
  },
  {
    title: 'when an allocation fails an attach has changed nothing',
    run(kit) {
      const device = kit.world.plug(9)
      const { pages } = kit.world
      const first = device.iommu.defaultDomain
      const domain = kit.domain(device)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      const before = pages.allocated
      kit.failingEachAllocation(
        () => kit.mustAttach(device, domain),
        () => {
          expect(pages.allocated, 'table pages').toBe(before)
          if (first.type === 'identity') kit.lands(device, BigInt(hpa), hpa)
          else kit.faults(device, iova)
        },
      )
      kit.lands(device, iova, hpa)
    },
  },
  {
    title: 'when an allocation fails no new domain is left half made',
    run(kit) {
      const { pages } = kit.world
      const before = pages.allocated
      kit.failingEachAllocation(
        () => kit.domain().free(),
        () => expect(pages.allocated, 'table pages').toBe(before),
      )
      expect(pages.allocated).toBe(before)
    },
  },
  {
    title: 'when an allocation fails a cut of a large mapping is refused whole or done whole',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.world.pages.alloc(2 << 20)
      kit.map(domain, iova, hpa, 2 << 20)
      kit.failingEachAllocation(
        () => kit.unmap(domain, iova),
        () => {
          kit.lands(kit.first, iova, hpa)
          kit.lands(kit.first, iova + kit.bytes(1), hpa + kit.page)
        },
      )
      kit.faults(kit.first, iova)
      kit.lands(kit.first, iova + kit.bytes(1), hpa + kit.page)
    },
  },
  {
    title: 'a freed domain gives all its table pages back',
    run(kit) {
      const { pages } = kit.world
      const hpa = kit.memory(4)
      const before = pages.allocated
      const domain = kit.domain()
      kit.map(domain, domain.aperture.first, hpa)
      kit.map(domain, domain.aperture.last + 1n - kit.bytes(4), hpa, 4 * kit.page)
      domain.free()
      expect(pages.allocated).toBe(before)
    },
  },
  {
    title: 'mapping and unmapping again and again takes no more table pages',
    run(kit) {
      const domain = kit.attachedDomain()
      const { pages } = kit.world
      const hpa = kit.memory()
      const iova = kit.iova(domain)
      const round = (): number => {
        for (let n = 0; n < 16; n++) kit.map(domain, iova + BigInt(n) * 0x20_0000n, hpa)
        for (let n = 0; n < 16; n++) kit.unmap(domain, iova + BigInt(n) * 0x20_0000n)
        return pages.allocated
      }
      const once = round()
      expect([round(), round()]).toEqual([once, once])
    },
  },
  {
    title: 'attaching here and there again and again takes no more pages',
    run(kit) {
      const { pages } = kit.world
      const round = (): number => {
        const domain = kit.attachedDomain(kit.first)
        kit.mustAttach(kit.second, domain)
        kit.mustAttach(kit.first, kit.first.iommu.blocked)
        kit.mustAttach(kit.second, kit.second.iommu.blocked)
        domain.free()
        return pages.allocated
      }
      const once = round()
      expect([round(), round()]).toEqual([once, once])
    },
  },
]

/** Allocation. */
export const allocationTests: readonly DriverTest[] = applyUnless(needsPaging, tests)
