/** The contract of an IOMMU driver: the operating system's side of one vendor's hardware. */
import type { Bdf, Hpa, Iova, IovaRange, Pasid } from '../address.ts'
import type { PageRequest } from '../dma/unit.ts'
import type { PciFunction } from '../pci/function.ts'
import { type Token, tokens } from '../plugin/token.ts'

/** One vendor's driver. It may serve several units. */
export interface IommuDriver {
  readonly name: string
  /** It knows nested domains, whether or not the hardware at hand has them: what a refusal then says differs. Default false. */
  readonly nestedDomains?: boolean
  /**
   * Looks at a function while the machine boots or when one is added.
   * @returns undefined when no unit of this driver covers it
   */
  probe(fn: PciFunction): IommuDevice | undefined
}
/** The IOMMU drivers of this host. */
export const IommuDriver: Token<IommuDriver> = tokens('IommuDriver')

/** What Linux asks with device_iommu_capable(), known before any domain exists. Plain data. */
export interface IommuCaps {
  /** IOMMU_CAP_CACHE_COHERENCY: DMA that asks for coherency is coherent. */
  readonly cacheCoherent: boolean
  /** IOMMU_CAP_ENFORCE_CACHE_COHERENCY: the hardware can ignore a device's No Snoop. */
  readonly enforcesCoherency: boolean
  /** The function's interrupt messages are isolated from other functions' (interrupt remapping). */
  readonly isolatedMsi: boolean
  /** Width of a PASID this function may use; 0: none. */
  readonly pasidBits: number
  /** IOMMU_CAP_PCI_ATS_SUPPORTED: the function may cache translations of this IOMMU (ATS). Default false. */
  readonly ats?: boolean
}

/** A range a domain of this device must leave alone or must map one to one; `/sys/kernel/iommu_groups/N/reserved_regions`. */
export interface ReservedRegion extends IovaRange {
  /** `direct`: map one to one (RMRR); `relaxable`: the same, may be ignored; `msi`: the interrupt window; `software-msi`: a window the software chose. */
  readonly type: 'direct' | 'relaxable' | 'reserved' | 'msi' | 'software-msi'
  readonly read: boolean
  readonly write: boolean
}

/** Why `attach` is asked. */
export interface AttachHow {
  /** Attach for this PASID; absent: for requests without one. */
  readonly pasid?: Pasid
  /** The domain attached until now: requests in flight see it or the new one, nothing else. */
  readonly replacing?: Domain
}
/** `incompatible`: this domain does not fit the unit; the caller makes another one. A value, because callers try. */
export type AttachResult = 'ok' | 'incompatible'

/** One function as its IOMMU driver sees it. */
export interface IommuDevice {
  readonly fn: PciFunction
  readonly driver: IommuDriver
  readonly caps: IommuCaps
  /** All ids its requests can carry: its own, and those of the bridges above that take ownership (`secondary:00.0`). */
  readonly requesterIds: readonly Bdf[]
  readonly reserved: readonly ReservedRegion[]
  /** What the kernel gives it at boot: the DMA API's paging domain, or identity. */
  readonly defaultDomain: Domain
  /** Refuses everything. */
  readonly blocked: Domain
  /** Hardware can pass requests through untranslated. */
  readonly identity?: Domain
  /**
   * Makes the unit use `domain` for this function, and flushes what it must.
   * @throws UapiError ENOMEM; nothing has changed then
   */
  attach(domain: Domain, how: AttachHow): AttachResult
  /** The function goes away: its entries are cleared, what it kept is freed. */
  release(): void
  /** Domains with page tables. Absent on POWER, which has `windows`. */
  readonly paging?: { alloc(options: PagingOptions): PagingDomain }
  /** Preset DMA windows (POWER). */
  readonly windows?: DmaWindows
  /** Answer of IOMMU_GET_HW_INFO. */
  readonly hwInfo?: { readonly type: number; read(): Uint8Array }
  /** User-owned first stage on a parent domain. */
  readonly nesting?: { alloc(parent: PagingDomain, data: Uint8Array): NestedDomain }
  /** Recoverable faults of this function come here; the driver answers through the request itself. */
  readonly pageRequests?: { listen(listener: ((request: PageRequest) => void) | undefined): void }
}

/** What a new paging domain must be able to do; what the hardware cannot give throws UapiError EOPNOTSUPP. */
export interface PagingOptions {
  /** It will be the parent of nested domains. */
  readonly nestParent?: boolean
  readonly dirtyTracking?: boolean
  /** It will be attached for a PASID. */
  readonly pasid?: boolean
}

/** Something a function can be attached to. */
export interface Domain {
  readonly type: 'paging' | 'identity' | 'blocked' | 'nested' | 'platform'
  /** As a default domain: flushed at each unmap (sysfs type `DMA`), not in batches (`DMA-FQ`). */
  readonly strict?: boolean
}

/** Permissions and attributes of a mapping, `IOMMU_READ` and friends of include/linux/iommu.h. */
export interface Prot {
  readonly read: boolean
  readonly write: boolean
  /** The target is registers, not memory (IOMMU_MMIO). */
  readonly mmio?: boolean
}

/**
 * Host pages behind a range of iovas, in order: runs of contiguous hpa. User memory is scattered, so a mapping is a list;
 * it is plain arrays so that a million pages are mapped without an object each.
 */
export interface PageRuns {
  /** Runs used; the arrays may be longer. */
  readonly count: number
  /** First hpa of each run. */
  readonly hpa: Float64Array
  /** Bytes of each run: a multiple of the domain's smallest page. */
  readonly bytes: Float64Array
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
  readonly dirty?: {
    set(on: boolean): void
    /** Reports dirty ranges to `sink`; `clear` starts a new round. */
    read(range: IovaRange, sink: (iova: Iova, bytes: bigint) => void, how: { readonly clear: boolean }): void
  }
}

/** A first stage that user space wrote, on top of a parent. */
export interface NestedDomain extends Domain {
  readonly type: 'nested'
  readonly parent: PagingDomain
  /** Runs user invalidations. @returns entries done; it stops at the first refused one with `errno` set */
  invalidate(entries: Uint8Array, entrySize: number): { readonly done: number; readonly errno?: number }
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
/** An empty gather. */
export const flushGather = (): FlushGather => ({ first: 0xffff_ffff_ffff_ffffn, last: 0n, granule: 0, tables: [] })

/** POWER: windows of TCEs in place of paging domains. A window is set up before it is used; entries are put one by one. */
export interface DmaWindows {
  readonly limits: {
    /** Windows at a time. */
    readonly count: number
    /** Bit n set: TCE pages of 2^n bytes. */
    readonly pageSizes: bigint
    readonly levels: number
    readonly dma32: { readonly first: Iova; readonly bytes: bigint }
  }
  /** @throws UapiError what the platform answers, e.g. EINVAL for a page size it lacks, ENOSPC when no window is free */
  create(window: { readonly pageShift: number; readonly bytes: bigint; readonly levels: number }): DmaWindow
  /** The windows that exist. */
  readonly present: readonly DmaWindow[]
  /** User space takes the windows over, or gives them back: the platform's own ones are put away and restored. */
  take(): void
  giveBack(): void
}

/** One TCE table that a unit translates with. */
export interface DmaWindow {
  readonly first: Iova
  readonly bytes: bigint
  /** log2 of the bytes that one TCE maps. */
  readonly pageShift: number
  /** Bytes of tables in memory: what locked memory is charged for. */
  readonly tableBytes: number
  /** Puts one entry and returns the one that stood there, whose target the caller then lets go. */
  exchange(index: bigint, hpa: Hpa, prot: Prot | undefined): { readonly hpa: Hpa; readonly prot: Prot } | undefined
  lookup(index: bigint): { readonly hpa: Hpa; readonly prot: Prot } | undefined
  remove(): void
}
