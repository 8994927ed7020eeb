/** What a driver maps, DMA reaches; and nothing else. */
import { DMA, pageRuns } from '@ioasis/core'
import { expect } from 'vitest'
import { applyUnless, type DriverTest, needsPaging } from './driver-test.ts'

const MIB = 1 << 20
const tests: readonly DriverTest[] = [
  {
    title: 'DMA lands where the page is mapped, writing and reading',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.first, iova + kit.bytes(1) - 8n, hpa + kit.page - 8)
    },
  },
  {
    title: 'DMA faults beside a mapping',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain, 1)
      kit.mapNew(domain, iova)
      kit.faults(kit.first, iova - 8n)
      kit.faults(kit.first, iova + kit.bytes(1))
    },
  },
  {
    title: 'a page mapped after DMA faulted there is reached',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      kit.faults(kit.first, iova)
      const near = kit.mapNew(domain, iova + kit.bytes(1))
      kit.faults(kit.first, iova)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.first, iova + kit.bytes(1), near)
    },
  },
  {
    title: 'the first and the last page of the aperture are reached',
    run(kit) {
      const domain = kit.attachedDomain()
      const { first, last } = domain.aperture
      const low = kit.mapNew(domain, first)
      const high = kit.mapNew(domain, last + 1n - kit.bytes(1))
      kit.lands(kit.first, first, low)
      kit.lands(kit.first, last - 7n, high + kit.page - 8)
      kit.unmap(domain, first)
      kit.unmap(domain, last + 1n - kit.bytes(1))
      kit.faults(kit.first, first)
      kit.faults(kit.first, last - 7n)
    },
  },
  {
    title: 'DMA faults just above the aperture',
    run(kit) {
      const domain = kit.attachedDomain()
      const { first, last } = domain.aperture
      const low = kit.mapNew(domain, first)
      kit.mapNew(domain, last + 1n - kit.bytes(1))
      if (last < (1n << 64n) - 8n) kit.faults(kit.first, last + 1n)
      kit.lands(kit.first, first, low)
    },
  },
  {
    title: 'a read-only mapping lets reads through and refuses writes',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova, { read: true, write: false })
      const before = kit.peek(hpa)
      expect(kit.write(kit.first, iova)).toBeGreaterThan(0)
      expect(kit.peek(hpa)).toEqual(before)
      kit.readLands(kit.first, iova, hpa)
      expect(kit.write(kit.first, iova), 'now that a read has filled the cache').toBeGreaterThan(0)
    },
  },
  {
    title: 'a write-only mapping lets writes through and refuses reads',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova, { read: false, write: true })
      kit.writeLands(kit.first, iova, hpa)
      expect(kit.read(kit.first, iova)).toBeGreaterThan(0)
    },
  },
  {
    title: 'scattered pages are mapped in their order',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const [a, b, c] = [kit.memory(2), kit.memory(1), kit.memory(2)]
      kit.mapRuns(domain, iova, pageRuns([c, 2 * kit.page], [b, kit.page], [a, 2 * kit.page]))
      kit.lands(kit.first, iova, c)
      kit.lands(kit.first, iova + kit.bytes(1), c + kit.page)
      kit.lands(kit.first, iova + kit.bytes(2), b)
      kit.lands(kit.first, iova + kit.bytes(3), a)
      kit.lands(kit.first, iova + kit.bytes(5) - 8n, a + 2 * kit.page - 8)
    },
  },
  {
    title: 'one transfer crosses from page to page',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const [a, b] = [kit.memory(), kit.memory()]
      kit.mapRuns(domain, iova, pageRuns([b, kit.page], [a, kit.page]))
      const sent = Uint8Array.from({ length: 64 }, (_, i) => i)
      expect(kit.first.port.write(iova + kit.bytes(1) - 32n, sent)).toBe(DMA.OK)
      expect(kit.peek(b + kit.page - 8)).toEqual(sent.slice(24, 32))
      expect(kit.peek(a)).toEqual(sent.slice(32, 40))
      expect(kit.first.port.write(iova + kit.bytes(2) - 32n, sent)).toBeGreaterThan(0)
      expect(kit.first.port.transferred, 'bytes before the fault').toBe(32)
    },
  },
  {
    title: 'a large mapping is reached at its start, middle and end',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.world.pages.alloc(4 * MIB, 'target of DMA')
      kit.map(domain, iova, hpa, 4 * MIB)
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.first, iova + 0x1f_fff8n, hpa + 0x1f_fff8)
      kit.lands(kit.first, iova + 0x20_0000n, hpa + 0x20_0000)
      kit.lands(kit.first, iova + 0x3f_fff8n, hpa + 0x3f_fff8)
      kit.faults(kit.first, iova + 0x40_0000n)
    },
  },
  {
    title: 'a large mapping whose ends are not aligned to large pages is reached',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain) - kit.bytes(2)
      const hpa = kit.world.pages.alloc(4 * MIB, 'target of DMA') + kit.page
      kit.map(domain, iova, hpa, 3 * MIB)
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.first, iova + kit.bytes(2), hpa + 2 * kit.page)
      kit.lands(kit.first, iova + 0x30_0000n - 8n, hpa + 0x30_0000 - 8)
      kit.faults(kit.first, iova - 8n)
      kit.faults(kit.first, iova + 0x30_0000n)
    },
  },
  {
    title: 'look-up tells where DMA lands, and nothing where it faults',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      expect(domain.lookup(iova + 0x123n)).toBe(hpa + 0x123)
      expect(domain.lookup(iova + kit.bytes(1))).toBeUndefined()
      expect(domain.lookup(domain.aperture.last)).toBeUndefined()
      kit.unmap(domain, iova)
      expect(domain.lookup(iova)).toBeUndefined()
    },
  },
  {
    title: 'two devices in one domain reach the same page',
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      kit.mustAttach(kit.second, domain)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.second, iova, hpa)
    },
  },
  {
    title: 'in two domains one address leads to two places',
    run(kit) {
      const [one, two] = [kit.attachedDomain(kit.first), kit.attachedDomain(kit.second)]
      const iova = kit.iova(one)
      const [a, b] = [kit.mapNew(one, iova), kit.mapNew(two, iova)]
      kit.lands(kit.first, iova, a)
      kit.lands(kit.second, iova, b)
    },
  },
]

/** Mapping and what DMA finds. */
export const mappingTests: readonly DriverTest[] = applyUnless(needsPaging, tests)
