/**
 * Memory that firmware says a function keeps using (RMRR) is mapped one to one in the default domain before the function is
 * attached, so that its DMA never stops. Facts: drivers/iommu/iommu.c iommu_create_device_direct_mappings.
 */
import { pageRuns } from '../memory/page-runs.ts'
import type { Domain, PagingDomain } from './domain.ts'
import type { IommuDevice } from './driver.ts'

const isPaging = (domain: Domain): domain is PagingDomain => domain.type === 'paging'

/** Smallest page of a domain, in bytes. */
const granule = (domain: PagingDomain): bigint => domain.pageSizes & -domain.pageSizes

/** Maps the `direct` and `relaxable` regions of a device; pages that are mapped already stay. @throws UapiError ENOMEM */
export function mapDirect(domain: Domain, device: IommuDevice): void {
  if (!isPaging(domain)) return
  const page = granule(domain)
  for (const { type, first, last, read, write } of device.reserved) {
    if (type !== 'direct' && type !== 'relaxable') continue
    const end = ((last + page) / page) * page
    for (let at = (first / page) * page; at < end;) {
      let next = at
      while (next < end && domain.lookup(next) === undefined) next += page
      if (next > at) domain.map(at, pageRuns([Number(at), Number(next - at)]), { read, write })
      at = next > at ? next : at + page
    }
  }
}
