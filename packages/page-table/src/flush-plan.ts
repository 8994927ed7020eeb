/** From what was unmapped to an address-mask invalidation, as VT-d's queue and register interface take it. */
import { type FlushGather, hiWord, type Iova, join, loWord, split } from '@ioasis/core'

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
  split(gather.last)
  const lastHi = hiWord()
  const lastLo = loWord()
  split(gather.first)
  const hi = hiWord()
  const lo = loWord()
  const width = Math.max(PAGE_SHIFT, bitsThatDiffer(hi ^ lastHi, lo ^ lastLo))
  const order = width - PAGE_SHIFT
  if (!limits.pageSelective || order > limits.maxMask) return 'domain'
  const iova = width < 32 ? join(hi, lo & (-1 << width)) : join(width < 64 ? hi & (-1 << (width - 32)) : 0, 0)
  return [{ iova, order }]
}

/** Width of the part in which two addresses are not equal, from their difference. */
const bitsThatDiffer = (hi: number, lo: number): number => (hi === 0 ? 32 - Math.clz32(lo) : 64 - Math.clz32(hi))
