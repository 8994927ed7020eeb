/** One page-table test's table, the places it uses, and the pages it expects. */
import { flushGather, type Hpa, type Iova, pageRuns, type Prot, UapiError } from '@ioasis/core'
import type { PageTableUnderTest, PageTableWorld } from './world.ts'

/** A run as tests write it. */
export type Run = readonly [hpa: Hpa, bytes: number]

/** Permissions of nearly all mappings. */
export const BOTH: Prot = { read: true, write: true }

/** Somewhere in host memory, above 4 GiB, aligned to any page size. */
export const TARGET: Hpa = 0x80_0000_0000

/** A page as the table's own reader shows it. */
export interface Leaf {
  readonly iova: bigint
  readonly bytes: bigint
  readonly hpa: Hpa
}

/** One test's world and the places it uses. */
export class TableBench {
  readonly table: PageTableUnderTest
  readonly pages: PageTableWorld['pages']
  /** Bytes of a host page. */
  readonly page: number
  /** All page sizes, largest first. */
  readonly sizes: readonly number[]
  /** Largest page that still allows tests to name each small one. */
  readonly large: number
  /** A border of every level but the lowest in the middle of the aperture: half of the root's entries lie below. */
  readonly middle: Iova

  constructor(world: PageTableWorld, page: number) {
    this.table = world.table
    this.pages = world.pages
    this.page = page
    const shifts = Array.from({ length: 52 }, (_, i) => 51 - i)
    this.sizes = shifts.filter((shift) => (world.table.pageSizes >> BigInt(shift)) & 1n).map((shift) => 2 ** shift)
    this.large = this.sizes.findLast((size) => size > page) ?? page
    this.middle = (world.table.aperture.last + 1n) / 2n
  }
  at(pages: number): Iova {
    return this.middle + BigInt(pages * this.page)
  }
  map(iova: Iova, ...runs: readonly Run[]): void {
    this.table.map(iova, pageRuns(...runs), BOTH)
  }
  /** Unmaps, "flushes" and frees. */
  unmap(iova: Iova, bytes: number): bigint {
    const gather = flushGather()
    const removed = this.table.unmap(iova, BigInt(bytes), gather)
    this.table.release(gather)
    return removed
  }
  get leaves(): Leaf[] {
    const all: Leaf[] = []
    this.table.leaves((iova, bytes, hpa) => all.push({ iova, bytes, hpa }))
    return all
  }
  /** The pages that drivers/iommu/generic_pt would take, found size by size. */
  expectedLeaves(iova: Iova, ...runs: readonly Run[]): Leaf[] {
    const all: Leaf[] = []
    let at = iova
    for (const [first, length] of runs) {
      for (let done = 0; done < length;) {
        const hpa = first + done
        const bytes = this.sizes.find((s) => at % BigInt(s) === 0n && hpa % s === 0 && s <= length - done) as number
        all.push({ iova: at, bytes: BigInt(bytes), hpa })
        at += BigInt(bytes)
        done += bytes
      }
    }
    return all
  }
  /** Everything a caller can see, to compare before and after. */
  get state(): unknown {
    return { leaves: this.leaves, tablePages: this.table.tablePages, allocated: this.pages.allocated }
  }
  /** Lets each allocation of `operation` fail in turn until it passes. @returns for each failure, what was seen after it */
  failingEachAllocation(operation: () => void, look: () => unknown = () => this.state): unknown[] {
    const states: unknown[] = []
    for (let n = 1; ; n++) {
      this.pages.failAfter = n
      try {
        operation()
        this.pages.failAfter = undefined
        return states
      } catch (error) {
        if (!(error instanceof UapiError) || error.errno !== 'ENOMEM') throw error
        states.push(look())
      }
    }
  }
}

/** What `errnoOf` says of a call that passed. */
export const NOT_REFUSED = 'not refused'

/** The errno a call is refused with. */
export function errnoOf(run: () => void): string {
  try {
    run()
  } catch (error) {
    if (error instanceof UapiError) return error.errno
    throw error
  }
  return NOT_REFUSED
}
