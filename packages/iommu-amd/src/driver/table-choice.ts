/** Which table a new domain gets: drivers/iommu/amd/iommu.c amd_iommu_domain_alloc_paging_flags. */
import type { PagingOptions } from '@ioasis/core'
import type { TableMode } from './domain-users.ts'
import type { Features } from './features.ts'

/**
 * Dirty tracking and guests need a host's table, PASIDs a guest's; else the preferred one that the units have.
 * @returns undefined when no table can do what the options ask for
 */
export function tableFor(
  { dirtyTracking = false, nestParent = false, pasid = false, data }: PagingOptions,
  how: { readonly features: Features; readonly dirtyTracking: boolean; readonly preferred: TableMode },
): TableMode | undefined {
  const { features, preferred } = how
  const exists = (mode: TableMode): boolean => (mode === 'v1' ? features.hostIovaBits > 0 : features.guestTables)
  const mode = (wanted: TableMode): TableMode | undefined => (exists(wanted) ? wanted : undefined)
  if (data !== undefined) return undefined
  if (dirtyTracking || nestParent) {
    const able = !pasid && (!dirtyTracking || how.dirtyTracking) && (!nestParent || features.nesting)
    return able ? mode('v1') : undefined
  }
  if (pasid) return features.maxPasids > 0 ? mode('v2') : undefined
  return mode(preferred) ?? mode(preferred === 'v1' ? 'v2' : 'v1')
}
