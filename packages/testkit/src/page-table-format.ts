/**
 * The kit for page-table formats: what a driver's table must do in every geometry, whatever its entries look like. That the
 * entries are the hardware's is another matter: a golden test with words from the specification belongs beside it.
 */
import { describe, expect, test } from 'vitest'
import { TableBench } from './page-table-kit/bench.ts'
import { checkRandomOperations } from './page-table-kit/random.ts'
import { PAGE_TABLE_TESTS } from './page-table-kit/tests.ts'
import type { PageTableWorld } from './page-table-kit/world.ts'

export type { PageTableUnderTest, PageTableWorld } from './page-table-kit/world.ts'

/** What to describe. */
export interface PageTableKit {
  readonly name: string
  /** Name of each geometry to a maker of a world that shares nothing with another. */
  readonly geometries: Readonly<Record<string, () => PageTableWorld>>
  /** Exact title of a test to the reason why it does not apply. */
  readonly skip?: Readonly<Record<string, string>>
}

const HOST_PAGES = { '4 KiB': 1 << 12, '64 KiB': 1 << 16 }

/** The one test that is not a sentence of its own. */
const RANDOM = 'agrees with a flat map of pages over random operations'

/** Declares the tests of one format, for each geometry and for host pages of 4 and 64 KiB. */
export function describePageTableFormat(kit: PageTableKit): void {
  const titles = [...Object.keys(PAGE_TABLE_TESTS), RANDOM]
  const unknown = Object.keys(kit.skip ?? {}).filter((title) => !titles.includes(title))
  if (unknown.length > 0) throw new Error(`${kit.name}: no test is called "${unknown.join('", "')}"`)
  describe.each(Object.entries(kit.geometries))(`${kit.name}, %s`, (_geometry, create) => {
    describe.each(Object.entries(HOST_PAGES))('host pages of %s', (_name, page) => {
      test.for(titles)('%s', (title, { skip }) => {
        const reason = kit.skip?.[title]
        if (reason !== undefined) skip(reason)
        expect.hasAssertions()
        if (title === RANDOM) checkRandomOperations(create, page)
        else PAGE_TABLE_TESTS[title]?.(new TableBench(create(), page))
      })
    })
  })
}
