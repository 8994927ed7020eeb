/** Whether a domain made for one unit fits another: drivers/iommu/intel/iommu.c paging_domain_compatible_second_stage. */
import type { SecondStageGeometry, UnitCapabilities } from './unit-capabilities.ts'
import { addressWidth } from './unit-capabilities.ts'

/** What is asked of the domain. */
export interface DomainNeeds {
  readonly geometry: SecondStageGeometry
  readonly flushesWrites: boolean
  readonly flushesMaps: boolean
  readonly coherency: { readonly enforced: boolean }
}

/** Why a unit cannot use a domain; undefined: it can. */
export function obstacle(domain: DomainNeeds, unit: UnitCapabilities): string | undefined {
  const { topLevel, width, pageSizes } = domain.geometry
  if (!unit.coherent && !domain.flushesWrites)
    return 'its walks do not snoop, and the tables are not flushed as they are written'
  if (unit.mgaw < width) return `it takes ${unit.mgaw} bits of iova, the domain has ${width}`
  if (!(unit.sagaw & (1 << addressWidth(topLevel)))) return `it does not walk ${topLevel + 1} levels`
  if (!(unit.largePages & 1) && pageSizes & 0x20_0000n) return 'it has no 2 MiB pages'
  if (!(unit.largePages & 2) && pageSizes & 0x4000_0000n) return 'it has no 1 GiB pages'
  if ((unit.writeBuffer || unit.cachingMode) && !domain.flushesMaps) return 'new mappings must be flushed'
  if (domain.coherency.enforced && !unit.snoopControl) return 'it cannot override No Snoop'
  return undefined
}
