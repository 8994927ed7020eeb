/** The domain ids of one unit: as many as CAP.ND says. Intel VT-d r4.1 "11.4.2 Capability Register", ND. */
import { IdPool } from '@ioasis/core'

/** Tags what passes through untranslated; never a paging domain's (drivers/iommu/intel/iommu.h FLPT_DEFAULT_DID). */
export const IDENTITY_ID = 1
/** The first id a paging domain gets: 0 is what a caching-mode unit tags non-present entries with, 1 is `IDENTITY_ID`. */
export const FIRST_ID = 2

/** Ids of paging domains. */
export class DomainIds extends IdPool {
  /**
   * @param unit for messages
   * @param count ids the unit has, 16 to 65536; the first two are never given out
   */
  constructor(unit: string, count: number) {
    super(`${unit} domain id`, FIRST_ID, count)
  }
}
