/** What the page-table kit works with: the table's contract, spelled here because testkit knows core alone. */
import type { FlushGather, Hpa, Iova, IovaRange, PageRuns, Prot } from '@ioasis/core'

/** What the kit asks of a page table; `@ioasis/page-table`'s is one. */
export interface PageTableUnderTest {
  readonly aperture: IovaRange
  /** Bit n set: pages of 2^n bytes are used. */
  readonly pageSizes: bigint
  /** Table pages that are linked, the root included. */
  readonly tablePages: number
  /** @throws UapiError EADDRINUSE, ENOMEM; nothing has changed then */
  map(iova: Iova, runs: PageRuns, prot: Prot): void
  /** @throws UapiError ENOMEM when a large page cannot be split; all is still mapped then */
  unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint
  /** Frees `gather.tables`. */
  release(gather: FlushGather): void
  lookup(iova: Iova): Hpa | undefined
  leaves(visit: (iova: bigint, bytes: bigint, hpa: Hpa, writable: boolean) => void): void
  free(): void
}

/** A new page table, and the allocator that its tables come from. */
export interface PageTableWorld {
  readonly table: PageTableUnderTest
  readonly pages: {
    /** Bytes handed out. */
    readonly allocated: number
    /** Set to n: the n-th allocation from now fails with ENOMEM, once. */
    failAfter: number | undefined
  }
}
