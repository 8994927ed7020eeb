/** From what was unmapped to an address-mask invalidation, as VT-d's queue and register interface take it. */
import { type FlushGather, hiWord, type Iova, loWord, split } from '@ioasis/core'

/** What a unit can do, out of its capability register. */
export interface AddressMaskLimits {
  /** CAP.PSI: page-selective invalidation. */
  readonly pageSelective: boolean
  /** CAP.MAMV: the largest order it takes. */
  readonly maxMask: number
}

/** A naturally aligned range of 2^order pages of 4 KiB. */
export interface AddressMask {
  /** A multiple of the range's bytes. */
  readonly iova: Iova
  /** log2 of its pages: 0 for one. */
  readonly order: number
}

const PAGE_SHIFT = 12

/**
 * The one naturally aligned range that covers the gather, as drivers/iommu/intel/cache.c calculate_psi_aligned_address and
 * cache_tag_flush_iotlb choose it: one command may drop more than was unmapped, and one that is too large for the unit
 * becomes a flush of the domain. Whether walk caches must go too is another question: `gather.tables.length > 0`.
 * @returns no range when nothing was unmapped
 */
export function flushPlan(gather: FlushGather, limits: AddressMaskLimits): readonly AddressMask[] | 'domain' {
  if (gather.first > gather.last) return []
  const order = Math.max(0, bitsThatDiffer(gather.first, gather.last) - PAGE_SHIFT)
  if (!limits.pageSelective || order > limits.maxMask) return 'domain'
  const shift = BigInt(order + PAGE_SHIFT)
  return [{ iova: (gather.first >> shift) << shift, order }]
}

/** Width of the part in which two addresses are not equal. */
function bitsThatDiffer(first: Iova, last: Iova): number {
  split(first ^ last)
  return hiWord() === 0 ? 32 - Math.clz32(loWord()) : 64 - Math.clz32(hiWord())
}
