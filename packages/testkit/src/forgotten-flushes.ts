/** Proof that the driver kit has teeth: drivers broken in the ways drivers break are caught, each by a test that is named. */
import { describe, expect, test } from 'vitest'
import { driverTest, runDriverTest } from './driver-kit/describe-driver.ts'
import type { DriverVariant, DriverWorld } from './driver-kit/world.ts'

/** What the driver forgets: `device entry` is what names a function's tables (context entry, DTE); `completion command` what the unit answers once all before it is done. */
export type ForgottenFlush =
  | 'the IOTLB flush'
  | 'the device entry flush'
  | 'the right domain id'
  | 'the last page of a range'
  | 'the size of a range'
  | 'the completion command'
  | 'the wait'

/** Which test of the driver kit catches it, and in which world. */
export const CAUGHT_BY: Readonly<Record<ForgottenFlush, { readonly title: string; readonly variant: DriverVariant }>> =
  {
    'the IOTLB flush': {
      title: 'DMA faults at once after unmap and sync',
      variant: { pageSize: 4096, units: 1, lag: false },
    },
    'the device entry flush': {
      title: 'replacing a domain leads to the new one at once',
      variant: { pageSize: 4096, units: 1, lag: false },
    },
    'the right domain id': {
      title: 'a flush reaches all devices of the domain and no other domain',
      variant: { pageSize: 4096, units: 1, lag: false },
    },
    'the last page of a range': {
      title: 'all pages of an unmapped range fault, the first and the last included',
      variant: { pageSize: 4096, units: 1, lag: false },
    },
    'the size of a range': {
      title: 'all pages of an unmapped range fault, the first and the last included',
      variant: { pageSize: 4096, units: 1, lag: false },
    },
    'the completion command': {
      title: 'DMA faults at once after unmap and sync',
      variant: { pageSize: 4096, units: 1, lag: true },
    },
    'the wait': {
      title: 'DMA faults at once after unmap and sync',
      variant: { pageSize: 4096, units: 1, lag: true },
    },
  }

/** A back end whose driver can be broken on purpose. */
export interface ForgottenFlushKit {
  readonly name: string
  /** Makes a world whose driver forgets `fault`; undefined: a sound one, to see that the test passes there. */
  create(variant: DriverVariant, fault: ForgottenFlush | undefined): DriverWorld
  /** A fault this hardware has no room for, and why. */
  readonly skip?: Readonly<Partial<Record<ForgottenFlush, string>>>
}

/** Declares one test for each forgotten flush. */
export function describeForgottenFlushes(kit: ForgottenFlushKit): void {
  describe(`forgotten flushes: ${kit.name}`, () => {
    for (const [name, { title, variant }] of Object.entries(CAUGHT_BY)) {
      const fault = name as ForgottenFlush
      test(`a driver that forgets ${fault} fails "${title}"`, ({ skip }) => {
        const reason = kit.skip?.[fault]
        if (reason !== undefined) skip(reason)
        runDriverTest(driverTest(title), kit.create(variant, undefined))
        expect(() => runDriverTest(driverTest(title), kit.create(variant, fault))).toThrowError(
          /status|fault reason|memory at/,
        )
      })
    }
  })
}
