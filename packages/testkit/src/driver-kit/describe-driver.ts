/** The kit for IOMMU drivers: what every one of them must do, seen through the silicon by DMA. */
import { describe, test } from 'vitest'
import { mustBeSound } from '../audit/audit.ts'
import { allocationTests } from './allocation.ts'
import { attachTests } from './attach.ts'
import { coherencyTests } from './coherency.ts'
import type { DriverTest } from './driver-test.ts'
import { faultTests } from './faults.ts'
import { DriverFixture } from './fixture.ts'
import { flushTests } from './flush.ts'
import { mappingTests } from './mapping.ts'
import { reservedMemoryTests } from './reserved-memory.ts'
import { sharedRequesterTests } from './shared-requesters.ts'
import { windowTests } from './windows.ts'
import type { DriverVariant, DriverWorld } from './world.ts'

/** All tests of the kit, by topic. */
export const driverTests: Readonly<Record<string, readonly DriverTest[]>> = {
  mapping: mappingTests,
  flushing: flushTests,
  attaching: attachTests,
  'shared requesters': sharedRequesterTests,
  'reserved memory': reservedMemoryTests,
  coherency: coherencyTests,
  faults: faultTests,
  allocation: allocationTests,
  windows: windowTests,
}

/** @returns the test of that title @throws Error when the kit has none: a title was changed or misspelt */
export function driverTest(title: string): DriverTest {
  const found = Object.values(driverTests)
    .flat()
    .find((t) => t.title === title)
  if (!found) throw new Error(`the driver kit has no test "${title}"`)
  return found
}

/** The geometries a driver is run through. */
export const DRIVER_VARIANTS: readonly DriverVariant[] = [
  { pageSize: 4096, units: 1, lag: false },
  { pageSize: 4096, units: 1, lag: true },
  { pageSize: 65536, units: 1, lag: false },
  { pageSize: 4096, units: 2, lag: true },
  { pageSize: 65536, units: 2, lag: false },
]

/** A back end under test. */
export interface DriverKit {
  /** For the report, e.g. `intel, 48 bit`. */
  readonly name: string
  /** Makes a world; called for every test, nothing is shared between two. */
  create(variant: DriverVariant): DriverWorld
  /** Exact title of a test to the reason why this driver cannot pass it. */
  readonly skip?: Readonly<Record<string, string>>
  /** A domain serves one unit, and why: what puts one on two is left out. `attach` answers `incompatible` then. */
  readonly oneUnit?: string
  /** Default: `DRIVER_VARIANTS`. */
  readonly variants?: readonly DriverVariant[]
}

/** Runs one test in a world of its own, and audits the world afterwards. @returns why it was skipped, if it was @throws what the test throws */
export function runDriverTest(driver: DriverTest, world: DriverWorld): string | undefined {
  try {
    const kit = new DriverFixture(world)
    const reason = driver.unless?.(kit)
    if (reason !== undefined) return reason
    driver.run(kit)
    mustBeSound(world.host)
    return undefined
  } finally {
    world.close()
  }
}

/** Declares the kit's tests for one driver. Call it at the top of a test file. */
export function describeIommuDriver(kit: DriverKit): void {
  for (const title of Object.keys(kit.skip ?? {})) driverTest(title)
  describe.each(kit.variants ?? DRIVER_VARIANTS)(
    `IOMMU driver ${kit.name}: $units unit(s), $pageSize-byte pages, lag $lag`,
    (variant) => {
      for (const [topic, tests] of Object.entries(driverTests)) {
        // oxlint-disable-next-line vitest/valid-title -- topics are keys of a table
        describe(topic, () => {
          for (const driver of tests.filter((t) => (t.units ?? 1) <= variant.units)) {
            // oxlint-disable-next-line vitest/valid-title, vitest/expect-expect -- titles and bodies are values
            test(driver.title, ({ skip }) => {
              const known = kit.skip?.[driver.title] ?? (driver.across && kit.oneUnit)
              if (known !== undefined) skip(known)
              const reason = runDriverTest(driver, kit.create(variant))
              if (reason !== undefined) skip(reason)
            })
          }
        })
      }
    },
  )
}
