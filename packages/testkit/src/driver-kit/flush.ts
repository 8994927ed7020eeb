/** After unmap and sync nothing old is reachable: tables, caches and walk caches agree. */
import { flushGather } from '@ioasis/core'
import { expect } from 'vitest'
import { applyUnless, type DriverTest, needsPaging } from './driver-test.ts'

const MIB = 1 << 20
const tests: readonly DriverTest[] = [
  {
    title: 'DMA faults at once after unmap and sync',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      expect(kit.unmap(domain, iova)).toBe(kit.bytes(1))
      kit.faults(kit.first, iova)
    },
  },
  {
    title: 'all pages of an unmapped range fault, the first and the last included',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain, 1)
      const hpa = kit.memory(8)
      kit.map(domain, iova, hpa, 7 * kit.page)
      const pages = [0, 1, 2, 3, 4, 5, 6].map((n) => ({ iova: iova + kit.bytes(n), hpa: hpa + n * kit.page }))
      pages.forEach((p) => kit.lands(kit.first, p.iova, p.hpa))
      expect(kit.unmap(domain, iova, 7 * kit.page)).toBe(kit.bytes(7))
      pages.forEach((p) => kit.faults(kit.first, p.iova))
    },
  },
  {
    title: 'pages beside an unmapped range stay reachable',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.memory(4)
      kit.map(domain, iova, hpa, 4 * kit.page)
      expect(kit.unmap(domain, iova + kit.bytes(1), 2 * kit.page)).toBe(kit.bytes(2))
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.first, iova + kit.bytes(3), hpa + 3 * kit.page)
    },
  },
  {
    title: 'remapped elsewhere, DMA lands at the new place only',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const old = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, old)
      kit.unmap(domain, iova)
      const left = kit.peek(old)
      const now = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, now)
      expect(kit.peek(old), 'the old page').toEqual(left)
    },
  },
  {
    title: 'a mapping made read-only refuses writes at once',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      kit.unmap(domain, iova)
      kit.map(domain, iova, hpa, kit.page, { read: true, write: false })
      kit.readLands(kit.first, iova, hpa)
      expect(kit.write(kit.first, iova)).toBeGreaterThan(0)
    },
  },
  {
    title: 'unmapping part of a large mapping leaves the rest',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.world.pages.alloc(2 * MIB, 'target of DMA')
      kit.map(domain, iova, hpa, 2 * MIB)
      kit.lands(kit.first, iova + 0x10_0000n, hpa + 0x10_0000)
      expect(kit.unmap(domain, iova + 0x10_0000n)).toBe(kit.bytes(1))
      kit.faults(kit.first, iova + 0x10_0000n)
      kit.lands(kit.first, iova + 0x10_0000n - 8n, hpa + 0x10_0000 - 8)
      kit.lands(kit.first, iova + 0x10_0000n + kit.bytes(1), hpa + 0x10_0000 + kit.page)
      kit.lands(kit.first, iova, hpa)
      expect(kit.unmap(domain, iova, 2 * MIB)).toBe(BigInt(2 * MIB) - kit.bytes(1))
      kit.faults(kit.first, iova)
      kit.faults(kit.first, iova + 0x1f_fff8n)
    },
  },
  {
    title: 'one sync serves many unmaps',
    run(kit) {
      const domain = kit.attachedDomain()
      const at = [0, 3, 600, 601].map((n) => kit.iova(domain, n % 300) + (n > 300 ? 0x80_0000n : 0n))
      const targets = at.map((iova) => ({ iova, hpa: kit.mapNew(domain, iova) }))
      targets.forEach(({ iova, hpa }) => kit.lands(kit.first, iova, hpa))
      const gather = flushGather()
      for (const iova of at) domain.unmap(iova, kit.bytes(1), gather)
      domain.sync(gather)
      at.forEach((iova) => kit.faults(kit.first, iova))
    },
  },
  {
    title: 'unmap counts what was mapped, holes left out',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      kit.mapNew(domain, iova)
      kit.mapNew(domain, iova + kit.bytes(2))
      expect(kit.unmap(domain, iova, 4 * kit.page)).toBe(kit.bytes(2))
      expect(kit.unmap(domain, iova, 4 * kit.page)).toBe(0n)
    },
  },
  {
    title: 'tables that a flush freed are not walked again',
    run(kit) {
      const domain = kit.attachedDomain()
      const [near, far] = [kit.iova(domain), kit.iova(domain) + 0x80_0000n]
      const old = kit.mapNew(domain, near)
      kit.lands(kit.first, near, old)
      kit.unmap(domain, near)
      const hpa = kit.mapNew(domain, far)
      kit.faults(kit.first, near)
      kit.lands(kit.first, far, hpa)
      const back = kit.mapNew(domain, near)
      kit.lands(kit.first, near, back)
    },
  },
  {
    title: 'a large page in the place of small ones is reached, and small ones in its place',
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const small = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, small)
      kit.unmap(domain, iova)
      const large = kit.world.pages.alloc(2 * MIB, 'target of DMA')
      kit.map(domain, iova, large, 2 * MIB)
      kit.lands(kit.first, iova, large)
      kit.lands(kit.first, iova + 0x1f_fff8n, large + 0x1f_fff8)
      kit.unmap(domain, iova, 2 * MIB)
      kit.map(domain, iova, small)
      kit.lands(kit.first, iova, small)
      kit.faults(kit.first, iova + 0x1f_fff8n)
    },
  },
  {
    title: 'a flush reaches all devices of the domain and no other domain',
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      const other = kit.attachedDomain(kit.second)
      const iova = kit.iova(domain)
      const [hpa, otherHpa] = [kit.mapNew(domain, iova), kit.mapNew(other, iova)]
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.second, iova, otherHpa)
      kit.unmap(domain, iova)
      kit.faults(kit.first, iova)
      kit.lands(kit.second, iova, otherHpa)
    },
  },
  {
    title: 'a new domain inherits nothing from a freed one',
    run(kit) {
      const device = kit.first
      const before = kit.attached(device)
      const old = kit.attachedDomain(device)
      const iova = kit.iova(old)
      const hpa = kit.mapNew(old, iova)
      kit.lands(device, iova, hpa)
      kit.mustAttach(device, device.iommu.blocked)
      kit.unmap(old, iova)
      old.free()
      const domain = kit.attachedDomain(device)
      kit.faults(device, iova)
      const now = kit.mapNew(domain, iova)
      kit.lands(device, iova, now)
      kit.mustAttach(device, before)
    },
  },
  {
    title: 'a domain freed with mappings in it leaves nothing behind',
    run(kit) {
      const device = kit.first
      const old = kit.attachedDomain(device)
      const iova = kit.iova(old)
      kit.lands(device, iova, kit.mapNew(old, iova))
      kit.mustAttach(device, device.iommu.blocked)
      old.free()
      const domain = kit.attachedDomain(device)
      kit.faults(device, iova)
      kit.mapNew(domain, iova + kit.bytes(1))
      kit.faults(device, iova)
    },
  },
  {
    title: 'a domain on two units is flushed on both',
    units: 2,
    across: true,
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      kit.mustAttach(kit.elsewhere, domain)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.first, iova, hpa)
      kit.lands(kit.elsewhere, iova, hpa)
      kit.unmap(domain, iova)
      kit.faults(kit.first, iova)
      kit.faults(kit.elsewhere, iova)
    },
  },
  {
    title: 'a unit that joins between unmap and sync does not reach what is unmapped',
    units: 2,
    across: true,
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      const iova = kit.iova(domain)
      const [gone, stays] = [kit.mapNew(domain, iova), kit.mapNew(domain, iova + kit.bytes(1))]
      kit.lands(kit.first, iova, gone)
      const gather = flushGather()
      domain.unmap(iova, kit.bytes(1), gather)
      kit.mustAttach(kit.elsewhere, domain)
      kit.faults(kit.elsewhere, iova)
      domain.sync(gather)
      for (const device of [kit.first, kit.elsewhere]) {
        kit.faults(device, iova)
        kit.lands(device, iova + kit.bytes(1), stays)
      }
    },
  },
  {
    title: 'a unit that leaves between unmap and sync has nothing left when it comes back',
    units: 2,
    across: true,
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      kit.mustAttach(kit.elsewhere, domain)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      for (const device of [kit.first, kit.elsewhere]) kit.lands(device, iova, hpa)
      const gather = flushGather()
      domain.unmap(iova, kit.bytes(1), gather)
      kit.mustAttach(kit.elsewhere, kit.elsewhere.iommu.blocked)
      domain.sync(gather)
      kit.mustAttach(kit.elsewhere, domain)
      for (const device of [kit.first, kit.elsewhere]) kit.faults(device, iova)
    },
  },
  {
    title: 'a unit that a domain has left is no longer needed for its flushes',
    units: 2,
    across: true,
    run(kit) {
      const domain = kit.attachedDomain(kit.first)
      const home = kit.attached(kit.elsewhere)
      kit.mustAttach(kit.elsewhere, domain)
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      kit.lands(kit.elsewhere, iova, hpa)
      kit.mustAttach(kit.elsewhere, home)
      kit.unmap(domain, iova)
      kit.faults(kit.first, iova)
      kit.mustAttach(kit.elsewhere, domain)
      kit.faults(kit.elsewhere, iova)
    },
  },
]

/** Unmapping and flushing. */
export const flushTests: readonly DriverTest[] = applyUnless(needsPaging, tests)
