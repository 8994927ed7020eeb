/** The caches of one unit together: what commands act on. */
import type { Bdf } from '@ioasis/core'
import { DirectoryCache } from './directory-cache.ts'
import { DteCache } from './dte-cache.ts'
import { InterruptCache } from './interrupt-cache.ts'
import { Iotlb } from './iotlb.ts'

/** Device table, directories, pages, interrupt entries. */
export class TranslationCaches {
  readonly devices: DteCache
  readonly directories: DirectoryCache = new DirectoryCache()
  /** Leaves of host tables. */
  readonly iotlb: Iotlb
  /** Leaves of guest tables, with what the host's tables make of them. */
  readonly guest: Iotlb
  readonly interrupts: InterruptCache = new InterruptCache()
  readonly #qemu: boolean
  readonly #reload: (requester: Bdf) => void

  /**
   * @param qemu leaves are tagged by requester, and any invalidation of a domain drops all of it
   * @param reload QEMU looks at an entry when it is invalidated
   */
  constructor(qemu: boolean, reload: (requester: Bdf) => void) {
    this.#qemu = qemu
    this.#reload = reload
    this.devices = new DteCache(qemu)
    this.iotlb = new Iotlb(qemu)
    this.guest = new Iotlb(qemu)
  }

  /** INVALIDATE_DEVTAB_ENTRY. */
  dropDevice(requester: Bdf): void {
    this.devices.drop(requester)
    if (this.#qemu) this.#reload(requester)
  }
  /**
   * INVALIDATE_IOMMU_PAGES of host pages: the leaves of a domain that overlap 2^order bytes, and (`directories`) directory entries.
   * Leaves of guest tables in the domain go as well: which host pages they rest on is not kept.
   */
  dropPages(domain: number, hi: number, lo: number, order: number, directories: boolean): void {
    if (order >= 52 || this.#qemu) this.iotlb.dropDomain(domain)
    else this.iotlb.dropRange(domain, -1, hi, lo & ~0xfff, order)
    this.guest.dropNested(domain)
    if (directories) this.directories.dropRange(domain, hi, lo & ~0xfff, order >= 52 ? 64 : order)
  }
  /** INVALIDATE_IOMMU_PAGES with GN: the leaves of one PASID. */
  dropGuestPages(domain: number, pasid: number, hi: number, lo: number, order: number): void {
    if (order >= 52) this.guest.dropDomain(domain, pasid)
    else this.guest.dropRange(domain, pasid, hi, lo & ~0xfff, order)
  }
  /** QEMU's INVALIDATE_IOTLB_PAGES: the leaves that a requester filled. */
  dropRequesterPages(requester: Bdf, hi: number, lo: number, order: number): void {
    if (order > 12) this.iotlb.pages.dropOwner(requester)
    else this.iotlb.pages.dropOne(hi, lo & ~0xfff, requester, -1)
  }
  /** INVALIDATE_IOMMU_ALL. */
  dropAll(): void {
    this.dropPagesAll()
    this.interrupts.dropAll()
    if (!this.#qemu) this.devices.dropAll()
  }
  /** All leaves and directories. */
  dropPagesAll(): void {
    this.iotlb.dropAll()
    this.guest.dropAll()
    this.directories.dropAll()
  }
}

/**
 * The size that an invalidation's address encodes; 48882 "INVALIDATE_IOMMU_PAGES": the lowest 0 from bit 12 on is the highest bit
 * inside the range.
 * @returns log2 of its bytes, 13 to 64
 */
export function sizeOrder(hi: number, lo: number): number {
  const low = ~(lo | 0xfff)
  if (low !== 0) return 32 - Math.clz32(low & -low)
  const high = ~hi
  return high === 0 ? 64 : 64 - Math.clz32(high & -high)
}
