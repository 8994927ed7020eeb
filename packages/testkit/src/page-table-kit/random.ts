/** Random operations on a page table and on a flat map of pages, step by step alike. */
import { flushGather, hex, type Hpa, pageRuns } from '@ioasis/core'
import fc from 'fast-check'
import { expect } from 'vitest'
import { FlatDomain } from '../flat-domain.ts'
import { BOTH, errnoOf, NOT_REFUSED, TableBench, TARGET } from './bench.ts'
import type { PageTableWorld } from './world.ts'

/** Everything counted in host pages; iovas from a little below the middle of the aperture on. */
type Operation =
  | {
      readonly kind: 'map'
      readonly at: number
      readonly runs: readonly { readonly target: number; readonly pages: number }[]
    }
  | { readonly kind: 'unmap'; readonly at: number; readonly pages: number }

/** @param big host pages in a large page: round numbers meet more often, and make large pages */
function operations(big: number): fc.Arbitrary<readonly Operation[]> {
  const round = fc.integer({ min: 0, max: 5 }).map((n) => n * big)
  const place = fc.oneof(round, fc.integer({ min: 0, max: 5 * big }))
  const length = fc.oneof(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 2 }).map((n) => n * big),
    fc.integer({ min: 1, max: 2 * big }),
  )
  const run = fc.record({ target: place, pages: length })
  return fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('map' as const), at: place, runs: fc.array(run, { minLength: 1, maxLength: 3 }) }),
      fc.record({ kind: fc.constant('unmap' as const), at: place, pages: length }),
    ),
    { minLength: 1, maxLength: 25 },
  )
}

/** One table and its model. */
interface Pair {
  readonly bench: TableBench
  readonly flat: FlatDomain
}

function apply({ bench, flat }: Pair, operation: Operation): void {
  const iova = bench.at(operation.at - (2 * bench.large) / bench.page)
  if (operation.kind === 'unmap') {
    const bytes = operation.pages * bench.page
    expect(bench.unmap(iova, bytes)).toBe(flat.unmap(iova, BigInt(bytes)))
    return
  }
  const runs = pageRuns(
    ...operation.runs.map((run): [Hpa, number] => [TARGET + run.target * bench.page, run.pages * bench.page]),
  )
  const refused = flat.overlaps(iova, BigInt(runs.bytes.reduce((sum, n) => sum + n, 0)))
  expect(errnoOf(() => bench.table.map(iova, runs, BOTH))).toBe(refused ? 'EADDRINUSE' : NOT_REFUSED)
  if (!refused) flat.map(iova, runs, BOTH)
}

/** Each page of the table is the model's, and there are as many. */
function compare({ bench, flat }: Pair): void {
  let pages = 0
  const wrong: string[] = []
  bench.table.leaves((iova, bytes, hpa) => {
    const step = BigInt(bench.page) < bytes ? BigInt(bench.page) : bytes
    for (let at = 0n; at < bytes; at += step) {
      const target = flat.lookup(iova + at)
      if (target !== hpa + Number(at) || bench.table.lookup(iova + at) !== target) wrong.push(hex(iova + at))
    }
    pages += Number(bytes) / bench.page
  })
  expect(wrong).toEqual([])
  expect(pages).toBe(flat.pages)
}

/** Unmapping everything leaves the root alone. */
function empty({ bench, flat }: Pair): void {
  const gather = flushGather()
  const { last } = bench.table.aperture
  expect(bench.table.unmap(0n, last + 1n, gather)).toBe(BigInt(flat.pages * bench.page))
  bench.table.release(gather)
  expect(bench.table.tablePages).toBe(1)
  bench.table.free()
  expect(bench.pages.allocated).toBe(0)
}

/** @throws Error with seed and shrunk operations when table and model part */
export function checkRandomOperations(create: () => PageTableWorld, page: number): void {
  const { large } = new TableBench(create(), page)
  fc.assert(
    fc.property(operations(Math.max(large / page, 1)), (steps) => {
      const pair = { bench: new TableBench(create(), page), flat: new FlatDomain(page) }
      for (const step of steps) apply(pair, step)
      compare(pair)
      empty(pair)
    }),
    { seed: 20_210_601, numRuns: 40 },
  )
}
