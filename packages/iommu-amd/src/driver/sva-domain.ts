/** The address space of a process, for a PASID: the CPUs' own page table. drivers/iommu/amd/pasid.c amd_iommu_domain_alloc_sva. */
import type { Domain, Hpa } from '@ioasis/core'

/** Wraps a page table of the CPUs' format. Who owns it flushes what it changes. */
export class SvaDomain implements Domain {
  readonly type = 'platform'
  /** The top table: CR3 of the process. */
  readonly root: Hpa

  constructor(root: Hpa) {
    this.root = root
  }
}
