/** Windows in place of paging domains (POWER): made, filled, killed, taken out; and who owns them. */
import { type DmaWindow, type DmaWindows, type Hpa, type Iova, TCE_ACCESS, UapiError } from '@ioasis/core'
import { expect } from 'vitest'
import { applyUnless, type DriverTest } from './driver-test.ts'
import type { DriverFixture } from './fixture.ts'

/** The page of the preset window. */
const SHIFT = 12
const PAGE = 2 ** SHIFT

const needsWindows = (kit: DriverFixture): string | undefined =>
  kit.first.iommu.windows ? undefined : 'this driver has no windows'

const windowsOf = (kit: DriverFixture): DmaWindows => kit.first.iommu.windows as DmaWindows
const take = (kit: DriverFixture): void => kit.mustAttach(kit.first, kit.first.iommu.blocked)
const giveBack = (kit: DriverFixture): void => kit.mustAttach(kit.first, kit.first.iommu.defaultDomain)

/** The preset window, made and programmed. */
function preset(kit: DriverFixture): DmaWindow {
  const windows = windowsOf(kit)
  const window = windows.create(0, { pageShift: SHIFT, bytes: windows.limits.dma32.bytes, levels: 1 })
  windows.set(0, window)
  return window
}
/** The address of an entry. */
const at = (window: DmaWindow, index: number): Iova => window.first + BigInt(index) * BigInt(PAGE)
/** Puts a fresh page, for hardware to see. @returns its hpa */
function put(kit: DriverFixture, window: DmaWindow, index: number): Hpa {
  const hpa = kit.memory()
  window.exchange(index, hpa, TCE_ACCESS.BOTH)
  window.kill(index, 1)
  return hpa
}
function drop(kit: DriverFixture, window: DmaWindow): void {
  for (let i = window.nextMade(0); i < window.entries; i = window.nextMade(i + 1)) window.exchange(i, 0, 0)
  window.kill(0, window.entries)
  windowsOf(kit).unset(0)
  window.put()
}

const tests: readonly DriverTest[] = [
  {
    title: 'user space that takes the windows finds none',
    run(kit) {
      take(kit)
      expect(windowsOf(kit).present.filter(Boolean)).toEqual([])
      kit.faults(kit.first, windowsOf(kit).limits.dma32.first)
    },
  },
  {
    title: 'a window is what was asked for, or more',
    run(kit) {
      take(kit)
      const { limits } = windowsOf(kit)
      const window = preset(kit)
      expect(window.first).toBe(limits.dma32.first)
      expect(window.bytes).toBeGreaterThanOrEqual(limits.dma32.bytes)
      expect(BigInt(window.entries) * BigInt(PAGE)).toBe(window.bytes)
      expect(windowsOf(kit).present[0]).toBe(window)
    },
  },
  {
    title: 'entries at both ends of a window lead to their pages',
    run(kit) {
      take(kit)
      const window = preset(kit)
      const last = window.entries - 1
      const pages = [put(kit, window, 0), put(kit, window, last)] as const
      kit.lands(kit.first, at(window, 0), pages[0])
      kit.lands(kit.first, at(window, last) + BigInt(PAGE - 8), pages[1] + PAGE - 8)
      kit.faults(kit.first, at(window, 1))
    },
  },
  {
    title: 'a cleared entry refuses once it is killed',
    run(kit) {
      take(kit)
      const window = preset(kit)
      const [hpa, other] = [put(kit, window, 5), put(kit, window, 6)]
      kit.lands(kit.first, at(window, 5), hpa)
      kit.lands(kit.first, at(window, 6), other)
      expect([window.exchange(5, 0, TCE_ACCESS.NONE), window.oldHpa]).toEqual([TCE_ACCESS.BOTH, hpa])
      window.kill(5, 1)
      kit.faults(kit.first, at(window, 5))
      kit.lands(kit.first, at(window, 6), other)
    },
  },
  {
    title: 'a replaced entry gives the old page back and leads to the new one once it is killed',
    run(kit) {
      take(kit)
      const window = preset(kit)
      const old = put(kit, window, 9)
      kit.lands(kit.first, at(window, 9), old)
      const now = kit.memory()
      expect([window.exchange(9, now, TCE_ACCESS.BOTH), window.oldHpa]).toEqual([TCE_ACCESS.BOTH, old])
      window.kill(9, 1)
      kit.lands(kit.first, at(window, 9), now)
      expect([window.lookup(9), window.oldHpa]).toEqual([TCE_ACCESS.BOTH, now])
    },
  },
  {
    title: 'an entry to be read only refuses writes',
    run(kit) {
      take(kit)
      const window = preset(kit)
      const hpa = kit.memory()
      window.exchange(3, hpa, TCE_ACCESS.READ)
      window.kill(3, 1)
      kit.readLands(kit.first, at(window, 3), hpa)
      expect(kit.write(kit.first, at(window, 3)), 'fault reason of a write').toBeGreaterThan(0)
    },
  },
  {
    title: 'user addresses stay with their entries',
    run(kit) {
      take(kit)
      const window = preset(kit)
      window.setUserAddress(2, 0x7fff_1234_5000)
      window.setUserAddress(3, 0x1000)
      window.setUserAddress(3, 0)
      expect([1, 2, 3].map((i) => window.userAddress(i))).toEqual([0, 0x7fff_1234_5000, 0])
    },
  },
  {
    title: 'an emptied window taken out refuses everything, and its tables go with its last holder',
    run(kit) {
      take(kit)
      const before = kit.world.pages.allocated
      const window = preset(kit)
      const hpa = put(kit, window, 0)
      kit.lands(kit.first, at(window, 0), hpa)
      window.hold()
      window.exchange(0, 0, TCE_ACCESS.NONE)
      window.kill(0, 1)
      windowsOf(kit).unset(0)
      window.put()
      kit.faults(kit.first, at(window, 0))
      expect(window.lookup(0)).toBe(TCE_ACCESS.NONE)
      window.put()
      expect(kit.world.pages.allocated - kit.page, 'table pages').toBe(before)
    },
  },
  {
    title: 'what was taken and is given back is as it was',
    run(kit) {
      const { allocated } = kit.world.pages
      take(kit)
      drop(kit, preset(kit))
      giveBack(kit)
      expect(kit.world.pages.allocated, 'table pages').toBe(allocated)
      expect(windowsOf(kit).present[0]).toBeDefined()
      take(kit)
      giveBack(kit)
      expect(kit.world.pages.allocated, 'table pages').toBe(allocated)
    },
  },
  {
    title: 'taking and giving back twice is doing it once',
    run(kit) {
      const { allocated } = kit.world.pages
      for (const step of [take, take, giveBack, giveBack]) step(kit)
      expect(kit.world.pages.allocated, 'table pages').toBe(allocated)
    },
  },
  {
    title: 'when an allocation fails there is no window, and nothing is lost',
    run(kit) {
      take(kit)
      const { pages } = kit.world
      const before = pages.allocated
      kit.failingEachAllocation(
        () => drop(kit, preset(kit)),
        () => {
          expect(pages.allocated, 'table pages').toBe(before)
          expect(windowsOf(kit).present.filter(Boolean)).toEqual([])
        },
      )
      expect(pages.allocated, 'table pages').toBe(before)
    },
  },
  {
    title: 'shapes that no table has are refused and cost nothing',
    run(kit) {
      take(kit)
      const before = kit.world.pages.allocated
      const windows = windowsOf(kit)
      const odd = { pageShift: SHIFT, bytes: 3n << 20n, levels: 1 }
      const deep = { pageShift: SHIFT, bytes: 1n << 30n, levels: windows.limits.levels + 1 }
      for (const shape of [odd, deep]) expect(() => windows.create(0, shape)).toThrow(UapiError)
      expect(kit.world.pages.allocated, 'table pages').toBe(before)
    },
  },
]

/** Windows. */
export const windowTests: readonly DriverTest[] = applyUnless(needsWindows, tests)
