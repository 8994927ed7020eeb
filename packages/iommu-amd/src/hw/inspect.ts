/** What the audit is told about a unit's IOTLBs. */
import { type Claim, hpaOf, NO_PASID } from '@ioasis/core'
import { LEAF } from './host-walk.ts'
import type { Iotlb } from './iotlb.ts'

/** One claim per translation held; an absent entry that is kept is none. */
export function cachedClaims(unit: string, iotlbs: readonly Iotlb[]): readonly Claim[] {
  const claims: Claim[] = []
  for (const iotlb of iotlbs) {
    for (const entry of iotlb.entries()) {
      if (entry.flags & LEAF.ABSENT) continue
      claims.push({
        kind: 'cached',
        unit,
        tag: entry.domain,
        ...(entry.pasid !== NO_PASID && { pasid: entry.pasid }),
        iova: entry.iova,
        bytes: entry.bytes,
        hpa: hpaOf(entry.hpaHi, entry.hpaLo),
        write: (entry.flags & LEAF.WRITE) !== 0,
      })
    }
  }
  return claims
}
