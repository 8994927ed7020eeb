import { composeWorld, describeForgottenFlushes, type ForgottenFlush } from '@ioasis/testkit/kits'
import { DEFAULT_UNIT, InvalidationQueue, type InvalidatorParts, intelIommu } from './index.ts'
import type { Invalidation } from './driver/invalidation.ts'

/** The invalidation queue of a driver that forgets something. What switches a unit on (global requests) is left alone. */
class ForgetfulQueue extends InvalidationQueue {
  readonly #forgets: ForgottenFlush

  constructor(parts: InvalidatorParts, forgets: ForgottenFlush) {
    super(parts)
    this.#forgets = forgets
  }
  override submit(requests: readonly Invalidation[]): void {
    super.submit(requests.flatMap((request) => (request.what === 'global' ? request : this.#spoilt(request))))
  }
  protected override settle(first: number, wait: number): void {
    if (this.#forgets !== 'the wait') super.settle(first, wait)
  }
  #spoilt(request: Invalidation): Invalidation | readonly Invalidation[] {
    if (this.#forgets === 'the device entry flush' && request.kind === 'context') return []
    if (request.kind === 'context') return request
    if (this.#forgets === 'the IOTLB flush') return []
    if (this.#forgets === 'the right domain id') return { ...request, domain: request.domain ^ 0x40 }
    if (request.what !== 'pages') return request
    if (this.#forgets === 'the size of a range') return { ...request, order: 0 }
    if (this.#forgets !== 'the last page of a range') return request
    return request.order > 0 ? { ...request, order: request.order - 1 } : []
  }
}

describeForgottenFlushes({
  name: 'intel',
  skip: { 'the completion command': 'its queue submits nothing without a wait descriptor' },
  create(variant, fault) {
    const options = { units: [{ ...DEFAULT_UNIT, lag: variant.lag }] }
    const makeQueue = (parts: InvalidatorParts): InvalidationQueue =>
      fault ? new ForgetfulQueue(parts, fault) : new InvalidationQueue(parts)
    return composeWorld(variant, [intelIommu({ ...options, makeQueue })])
  },
})
