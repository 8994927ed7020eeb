/** What the audit is told about a unit's IOTLB. */
import { type Claim, hpaOf } from '@ioasis/core'
import { domainOf, type Iotlb, isWritable } from './iotlb.ts'

/** One claim per entry held. */
export function cachedClaims(unit: string, iotlb: Iotlb): readonly Claim[] {
  return Array.from(iotlb.entries(), (entry): Claim => ({
    kind: 'cached',
    unit,
    tag: domainOf(entry.owner),
    iova: entry.iova,
    bytes: BigInt(entry.bytes),
    hpa: hpaOf(entry.hpaHi, entry.hpaLo),
    write: isWritable(entry.flags),
  }))
}
