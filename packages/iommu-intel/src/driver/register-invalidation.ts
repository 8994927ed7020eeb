/**
 * Invalidation by registers, for units without a queue (ECAP.QI is 0): Intel VT-d r4.1 "6.5.1 Register-based Invalidation
 * Interface"; drivers/iommu/intel/iommu.c __iommu_flush_context, __iommu_flush_iotlb.
 */
import { bitsOf, join, put } from '@ioasis/core'
import { CCMD, IOTLB, IVA, REG } from '../spec/registers.ts'
import { GRANULARITIES, type Invalidation } from './invalidation.ts'
import type { Invalidator, InvalidatorParts } from './invalidation-queue.ts'

/** One request at a time, each waited for. */
export class RegisterInvalidation implements Invalidator {
  /** Requests the unit answered with "no granularity". */
  refused = 0
  readonly bytes = 0
  readonly #parts: InvalidatorParts

  constructor(parts: InvalidatorParts) {
    this.#parts = parts
  }

  submit(requests: readonly Invalidation[]): void {
    for (const request of requests) {
      if (request.kind === 'context') this.#context(request)
      else if (request.kind === 'iotlb') this.#iotlb(request)
      else throw new Error('interrupt remapping entries are invalidated through a queue alone')
    }
  }
  close(): void {
    // Nothing was taken.
  }

  #context({ what, domain, source }: Invalidation & { kind: 'context' }): void {
    const { registers } = this.#parts
    const lo = put(CCMD.SID, put(CCMD.DID, 0, domain), source)
    const hi = put(CCMD.CIRG, bitsOf(CCMD.ICC), GRANULARITIES[what])
    registers.write64(REG.CCMD, join(hi, lo))
    registers.waitFor(REG.CCMD + 4, bitsOf(CCMD.ICC), 0)
    if ((registers.read(REG.CCMD + 4) & bitsOf(CCMD.CAIG)) === 0) this.refused++
  }

  #iotlb(request: Invalidation & { kind: 'iotlb' }): void {
    const { registers, capabilities } = this.#parts
    const at = capabilities.iotlbOffset
    if (request.what === 'pages') {
      const low = put(IVA.IH, put(IVA.AM, 0, request.order), request.leafOnly ? 1 : 0)
      registers.write64(at, request.iova | BigInt(low))
    }
    let hi = put(IOTLB.IIRG, bitsOf(IOTLB.IVT), GRANULARITIES[request.what])
    hi = put(IOTLB.DID, hi, request.domain)
    hi = put(IOTLB.DW, hi, capabilities.writeDraining ? 1 : 0)
    registers.write64(at + 8, join(hi, 0))
    registers.waitFor(at + 12, bitsOf(IOTLB.IVT), 0)
    if ((registers.read(at + 12) & bitsOf(IOTLB.IAIG)) === 0) this.refused++
  }
}
