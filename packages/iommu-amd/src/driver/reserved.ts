/** Ranges a domain of a function must leave alone or map one to one. drivers/iommu/amd/iommu.c amd_iommu_get_resv_regions. */
import { type Bdf, MSI_WINDOW, type ReservedRegion } from '@ioasis/core'
import type { IvmdBlock } from '../spec/ivrs-table.ts'

const PAGE = 4096
const pageAlign = (value: number): number => Math.ceil(value / PAGE) * PAGE

/** The interrupt window: writes there never reach the page tables. */
const INTERRUPTS: ReservedRegion = Object.freeze({
  first: BigInt(MSI_WINDOW.first),
  last: BigInt(MSI_WINDOW.last),
  type: 'msi',
  read: false,
  write: false,
})
/** What HyperTransport uses for messages of its own (HT_RANGE_START, HT_RANGE_END). */
const HYPERTRANSPORT: ReservedRegion = Object.freeze({
  first: 0xfd_0000_0000n,
  last: 0xff_ffff_ffffn,
  type: 'reserved',
  read: false,
  write: false,
})

/**
 * The regions of a function, as Linux lists them: those of the IVRS table in its order, the interrupt window, HyperTransport's.
 * Exclusion ranges count as mapped one to one, for buggy firmware's sake (init.c init_unity_map_range).
 * @param blocks "I/O Virtualization Memory Definition Blocks"
 * @param htIgnored the units leave the HyperTransport range to software
 */
export function reservedRegions(
  requester: Bdf,
  segment: number,
  blocks: readonly IvmdBlock[],
  htIgnored: boolean,
): readonly ReservedRegion[] {
  const unity = blocks
    .filter((block) => (block.unity || block.exclusion) && block.segment === segment && names(block, requester))
    .map(({ first, size, read, write, exclusion }): ReservedRegion => {
      const start = pageAlign(first)
      const last = BigInt(start + pageAlign(size)) - 1n
      return { first: BigInt(start), last, type: 'direct', read: read || exclusion, write: write || exclusion }
    })
  return [...unity, INTERRUPTS, ...(htIgnored ? [] : [HYPERTRANSPORT])]
}

const names = ({ scope }: IvmdBlock, requester: Bdf): boolean =>
  scope === 'all' || (requester >= scope.first && requester <= scope.last)
