import type { IommuDevice } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { toyWorld } from '../toy-iommu/toy-world.test-kit.ts'
import { DRIVER_VARIANTS, describeIommuDriver, driverTest, driverTests, runDriverTest } from './describe-driver.ts'
import type { DriverVariant, DriverWorld, WorldDevice } from './world.ts'

const SMALL: DriverVariant = { pageSize: 4096, units: 1, lag: false }
const all = Object.values(driverTests).flat()

describe('the driver kit', () => {
  test('every title is unique, for titles are keys', () => {
    expect(new Set(all.map((t) => t.title)).size).toBe(all.length)
  })
  test('covers both page sizes, one and two units, with lag and without', () => {
    expect(new Set(DRIVER_VARIANTS.map((v) => v.pageSize)).size).toBe(2)
    expect(new Set(DRIVER_VARIANTS.map((v) => v.units)).size).toBe(2)
    expect(new Set(DRIVER_VARIANTS.map((v) => v.lag)).size).toBe(2)
  })
  test('a skip that names no test is a mistake', () => {
    const skip = { 'DMA lands wherever it likes': 'misspelt' }
    expect(() => describeIommuDriver({ name: 'x', create: () => toyWorld(SMALL), skip })).toThrow(/no test "DMA lands/)
  })
  test('a driver that detaches before it attaches is caught: DMA is refused in between', () => {
    const title = 'while a domain is replaced DMA sees the old or the new one, never a refusal'
    const run = (world: DriverWorld): unknown => runDriverTest(driverTest(title), world)
    expect(run(toyWorld(SMALL))).toBeUndefined()
    expect(() => run(detaching(toyWorld(SMALL)))).toThrow(/what DMA read/)
  })
  test('a driver that switches too late is caught', () => {
    const title = 'replacing a domain leads to the new one at once'
    expect(() => runDriverTest(driverTest(title), late(toyWorld(SMALL)))).toThrow(/memory at hpa/)
  })
  test('a driver that clears a shared requester with the first function that goes is caught', () => {
    const title =
      'when one of the functions that share a requester id goes, the others go on; after the last nothing is reached'
    expect(() => runDriverTest(driverTest(title), hasty(toyWorld(SMALL)))).toThrow(/status of a write/)
  })
  test('a driver that leaves the entry of a function that has gone is caught', () => {
    const title = 'a function that goes while it is attached leaves nothing reachable under its requester id'
    expect(() => runDriverTest(driverTest(title), leaving(toyWorld(SMALL)))).toThrow(/fault reason of a request/)
  })
  test('a driver with windows in place of paging domains is skipped with that reason, and passes the rest', () => {
    const reasons = new Set(all.filter((t) => !t.units).map((t) => runDriverTest(t, windowed(toyWorld(SMALL)))))
    expect(reasons).toEqual(
      new Set([
        undefined,
        'this driver has no windows',
        'this driver has windows in place of paging domains',
        'firmware reserves no memory in this world',
      ]),
    )
  })
})

type Changeable = { -readonly [K in keyof IommuDevice]: IommuDevice[K] }

/** A world whose first device is blocked before it gets another domain. */
function detaching(world: DriverWorld): DriverWorld {
  const iommu: Changeable = (world.devices[0] as WorldDevice).iommu
  const attach = iommu.attach.bind(iommu)
  iommu.attach = (domain, how) => {
    attach(iommu.blocked, how)
    return attach(domain, {})
  }
  return world
}
/** A world whose first device takes every domain but the first for granted. */
function late(world: DriverWorld): DriverWorld {
  const iommu: Changeable = (world.devices[0] as WorldDevice).iommu
  const attach = iommu.attach.bind(iommu)
  iommu.attach = (domain, how) => (how.replacing?.type === 'paging' ? 'ok' : attach(domain, how))
  return world
}
/** A world in which the second function behind a bridge takes the entry of both away. */
function hasty(world: DriverWorld): DriverWorld {
  const plugBridge = world.plugBridge.bind(world)
  world.plugBridge = () => {
    const [bridge, one, other] = plugBridge()
    const iommu: Changeable = other.iommu
    const release = iommu.release.bind(iommu)
    iommu.release = () => {
      release()
      one.iommu.attach(one.iommu.blocked, {})
    }
    return [bridge, one, other]
  }
  return world
}
/** A world in which a function that was added is never released. */
function leaving(world: DriverWorld): DriverWorld {
  const plug = world.plug.bind(world)
  world.plug = (slot) => {
    const device = plug(slot)
    const iommu: Changeable = device.iommu
    iommu.release = () => {}
    return device
  }
  return world
}
/** A world whose devices offer no paging domains. */
function windowed(world: DriverWorld): DriverWorld {
  for (const { iommu } of world.devices) delete (iommu as Partial<Changeable>).paging
  return world
}
