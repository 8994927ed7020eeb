/** From ranges unmapped to what one unit is asked: drivers/iommu/intel/cache.c cache_tag_flush_iotlb. */
import type { FlushGather } from '@ioasis/core'
import { type AddressMaskLimits, flushPlan } from '@ioasis/page-table'
import { type Invalidation, translationsOf } from './invalidation.ts'

/**
 * @param gather what was unmapped
 * @param domain the domain's id on the unit
 * @param limits of the unit
 * @param how `leafOnly`: no upper table changed; by default, when none became empty
 * @returns nothing when nothing was unmapped
 */
export function flushRequests(
  gather: FlushGather,
  domain: number,
  limits: AddressMaskLimits,
  how: { readonly leafOnly: boolean } = { leafOnly: gather.tables.length === 0 },
): readonly Invalidation[] {
  const plan = flushPlan(gather, limits)
  if (plan === 'domain') return [translationsOf(domain)]
  return plan.map(({ iova, order }) => ({ kind: 'iotlb', what: 'pages', domain, iova, order, leafOnly: how.leafOnly }))
}
