/** A test of the driver kit as a value, so that it can be run by vitest, and run to see it fail. */
import type { DriverFixture } from './fixture.ts'

/** One test. */
export interface DriverTest {
  /** Behaviour in words of the domain; also the key of `skip`. */
  readonly title: string
  /** Units it needs; default 1: it runs with any number. */
  readonly units?: 2
  /** It puts one domain on both units. */
  readonly across?: true
  /** @returns why it does not apply to this driver; undefined: it does */
  readonly unless?: (kit: DriverFixture) => string | undefined
  /** @throws what vitest's `expect` throws */
  readonly run: (kit: DriverFixture) => void
}

/** The reason all tests of paging domains share. */
export const needsPaging = (kit: DriverFixture): string | undefined =>
  kit.first.iommu.paging ? undefined : 'this driver has windows in place of paging domains'

/** The tests, each with the reason why it may not apply, unless it has one of its own. */
export function applyUnless(unless: DriverTest['unless'], tests: readonly DriverTest[]): readonly DriverTest[] {
  const result: DriverTest[] = []
  for (const test of tests) result.push(unless ? { unless, ...test } : test)
  return result
}
