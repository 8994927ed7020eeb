/** The contract of a domain: what functions are attached to, and the page table behind it. */
import type { Hpa, Iova, IovaRange } from '../address.ts'
import type { PageRuns } from '../memory/page-runs.ts'
import type { UserData, UserDataArray } from './user-data.ts'

/** What a new paging domain must be able to do; what the hardware cannot give throws UapiError EOPNOTSUPP. */
export interface PagingOptions {
  /** It will be the parent of nested domains. */
  readonly nestParent?: boolean
  readonly dirtyTracking?: boolean
  /** It will be attached for a PASID. */
  readonly pasid?: boolean
  /** Of the driver's own kind; a driver that takes none throws EOPNOTSUPP. */
  readonly data?: UserData
}

/** How a nested domain will be used. */
export interface NestingFlags {
  /** It will be attached for a PASID. */
  readonly pasid: boolean
}

/** Something a function can be attached to. */
export interface Domain {
  readonly type: 'paging' | 'identity' | 'blocked' | 'nested' | 'platform'
  /** As a default domain: flushed at each unmap (sysfs type `DMA`), not in batches (`DMA-FQ`). */
  readonly strict?: boolean
  /** Whoever made it answers page requests (domain->iopf_handler): what is attached to it may be told to send some. */
  answersPageRequests?: boolean
}

/** Permissions and attributes of a mapping, `IOMMU_READ` and friends of include/linux/iommu.h. */
export interface Prot {
  readonly read: boolean
  readonly write: boolean
  /** The target is registers, not memory (IOMMU_MMIO). */
  readonly mmio?: boolean
}

/** The page table that several functions, through several units, may share. */
export interface PagingDomain extends Domain {
  readonly type: 'paging'
  /** What the table can hold. */
  readonly aperture: IovaRange
  /** Bit n set: pages of 2^n bytes. u64. */
  readonly pageSizes: bigint
  /**
   * Maps the runs from `iova` on. Overlap, alignment to the smallest page and the aperture are the caller's policy and already checked.
   * @throws UapiError ENOMEM when a table cannot be had; nothing is mapped then
   */
  map(iova: Iova, runs: PageRuns, prot: Prot): void
  /**
   * Removes leaves; they stay reachable through caches until `sync`. A superpage cut in part is split.
   * @returns the bytes that were mapped
   */
  unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint
  /** One flush, of all attached units, for everything gathered; frees the tables that became empty. Afterwards nothing old is reachable. */
  sync(gather: FlushGather): void
  /** Where an access to `iova` would land; undefined: nowhere. Reads the tables with the CPU. */
  lookup(iova: Iova): Hpa | undefined
  /** Frees all tables. @throws Error when it is still attached somewhere */
  free(): void
  /** The hardware can be told to ignore No Snoop. */
  readonly coherency?: {
    /** From now on all leaves enforce it. @returns false when a unit it is attached to cannot; nothing changed then */
    enforce(): boolean
    readonly enforced: boolean
  }
  /** Present in a domain made with `dirtyTracking`. */
  readonly dirty?: {
    /** Records writes from now on, or no more. @throws UapiError when an attached unit cannot; nothing has changed then */
    set(on: boolean): void
    /**
     * Reports what was written in a range to `sink`, in order. While nothing is recorded, and `clear` is not set, there is nothing.
     * @param how `clear` starts a new round; it takes effect with the `sync` of `gather`
     */
    read(range: IovaRange, sink: DirtySink, how: { readonly clear: boolean; readonly gather: FlushGather }): void
  }
}

/** Told of a range that was written. */
export type DirtySink = (iova: Iova, bytes: bigint) => void

/** A first stage that user space wrote, on top of a parent. */
export interface NestedDomain extends Domain {
  readonly type: 'nested'
  readonly parent: PagingDomain
  /** Runs user invalidations and counts them in `entries.done`. Absent: EOPNOTSUPP. @throws UapiError at the first refused one */
  invalidate?(entries: UserDataArray): void
  free(): void
}

/** Ranges unmapped and not yet flushed, and tables to free afterwards. One gather may serve many unmaps of one domain. */
export interface FlushGather {
  /** Lowest and highest iova; `first > last` while empty. */
  first: Iova
  last: Iova
  /** Smallest leaf removed, in bytes; 0 while empty. */
  granule: number
  /** Tables that became empty: reachable through walk caches until the flush. */
  readonly tables: Hpa[]
}
const EMPTY = { first: 0xffff_ffff_ffff_ffffn, last: 0n } as const
/** An empty gather. */
export const flushGather = (): FlushGather => ({ first: EMPTY.first, last: EMPTY.last, granule: 0, tables: [] })
/** Makes a gather empty again once its flush is done; its tables were taken out by whoever freed them. */
export function emptyGather(gather: FlushGather): void {
  gather.first = EMPTY.first
  gather.last = EMPTY.last
  gather.granule = 0
}
