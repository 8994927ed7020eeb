/** Domain ids of all units together: drivers/iommu/amd/iommu.c pdom_ids, amd_iommu_pdom_id_alloc. */
import { IdPool } from '@ioasis/core'

/** Ids 1 to 65535; entries of functions without a domain hold 0. */
export class DomainIds extends IdPool {
  constructor() {
    super('AMD-Vi domain id', 1, 65_536)
  }
}
