/** A refused DMA is told: the driver reads the unit's log and says who, where and why. */
import type { TraceEvents } from '@ioasis/core'
import { expect } from 'vitest'
import type { DriverTest } from './driver-test.ts'
import type { DriverFixture } from './fixture.ts'
import type { WorldDevice } from './world.ts'

type Fault = TraceEvents['fault']

/** What the driver reported while `action` ran. */
function reported(kit: DriverFixture, action: () => void): readonly Fault[] {
  const faults: Fault[] = []
  const stop = kit.world.trace.on('fault', (fault) => faults.push(fault))
  action()
  kit.world.poll()
  stop()
  return faults
}
/** Blocks a device. @returns an address it cannot reach, at the start of a page */
function blocked(kit: DriverFixture, device: WorldDevice): bigint {
  kit.mustAttach(device, device.iommu.blocked)
  return 0x40_0000n
}
const wordsOf = (kit: DriverFixture, device: WorldDevice, status: number): string | undefined =>
  kit.world.units[device.unit]?.reasonText(status)

/** Faults. */
export const faultTests: readonly DriverTest[] = [
  {
    title: 'a fault is reported with its requester, address, access and reason',
    run(kit) {
      const iova = blocked(kit, kit.first)
      let status = 0
      const faults = reported(kit, () => {
        status = kit.write(kit.first, iova)
      })
      expect(faults).toHaveLength(1)
      const { unit } = kit.first
      expect(faults[0]).toMatchObject({
        unit: kit.world.units[unit]?.name,
        requester: kit.first.requester,
        iova,
        write: true,
        reason: status,
      })
    },
  },
  {
    title: 'a refused read is reported as a read, in words',
    run(kit) {
      const iova = blocked(kit, kit.first)
      const [fault] = reported(kit, () => kit.read(kit.first, iova))
      expect(fault?.write).toBe(false)
      expect(fault?.text).toMatch(/\w+/)
      expect(wordsOf(kit, kit.first, fault?.reason ?? 0)).toMatch(/[A-Za-z]{3}/)
    },
  },
  {
    title: 'a fault outside all mappings is reported at its page',
    unless: (kit) => (kit.first.iommu.paging ? undefined : 'this driver has windows in place of paging domains'),
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain, 3)
      const faults = reported(kit, () => kit.read(kit.first, iova + 0x10n))
      expect(faults.map((f) => f.iova & ~0xfffn)).toEqual([iova])
    },
  },
  {
    title: 'DMA that is allowed is not reported',
    unless: (kit) => (kit.first.iommu.paging ? undefined : 'this driver has windows in place of paging domains'),
    run(kit) {
      const domain = kit.attachedDomain()
      const iova = kit.iova(domain)
      const hpa = kit.mapNew(domain, iova)
      expect(reported(kit, () => kit.lands(kit.first, iova, hpa))).toEqual([])
    },
  },
  {
    title: 'after many faults others are still served, and new faults still reported',
    run(kit) {
      const iova = blocked(kit, kit.first)
      const faults = reported(kit, () => {
        for (let n = 0n; n < 300n; n++) kit.read(kit.first, iova + n * 0x1000n)
      })
      expect(faults.length).toBeGreaterThan(0)
      const later = iova + 0x100_0000n
      expect(reported(kit, () => kit.write(kit.first, later)).map((f) => f.iova)).toEqual([later])
    },
  },
  {
    title: 'a fault behind the second unit is reported by the second unit',
    units: 2,
    run(kit) {
      const iova = blocked(kit, kit.elsewhere)
      const faults = reported(kit, () => kit.read(kit.elsewhere, iova))
      expect(faults.map((f) => f.unit)).toEqual([kit.world.units[1]?.name])
    },
  },
]
