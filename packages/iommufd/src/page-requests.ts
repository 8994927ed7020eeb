/**
 * Page requests of a group's devices on their way to a queue: requests of one page request group wait for the last of them.
 * drivers/iommu/io-pgfault.c iommu_report_device_fault, find_fault_handler.
 */
import { type FailurePoints, NO_PASID, type PageRequest, type Pasid, UapiError } from '@ioasis/core'
import type { AttachHandle } from './fault-queue.ts'
import type { AttachedDevice, Hwpt } from './hwpt.ts'

/** What is attached for a PASID, and since when. */
export interface Attached {
  readonly hwpt: Hwpt
  readonly handle: AttachHandle
}

/** Requests without a PASID are looked for under `rid`. */
export class PageRequests {
  readonly #attached: (pasid: Pasid) => Attached | undefined
  readonly #rid: Pasid
  readonly #failures: FailurePoints | undefined
  /** Requests whose last one has not come. */
  readonly #partial = new Map<AttachedDevice, PageRequest[]>()

  /** @param failures where taking a group may fail: it is answered as failed then */
  constructor(rid: Pasid, attached: (pasid: Pasid) => Attached | undefined, failures?: FailurePoints) {
    this.#failures = failures
    this.#rid = rid
    this.#attached = attached
  }

  /** A device asks. What no queue takes is refused at once, also when it is not the last of its group. */
  deliver(device: AttachedDevice, request: PageRequest): void {
    const found = this.#handlerOf(device, request.pasid)
    const fault = found?.hwpt.fault
    if (!fault) {
      request.respond('invalid')
      return
    }
    const before = this.#partial.get(device) ?? []
    const hasRoom = this.#hasRoom()
    if (!request.last) {
      // One that is lost is not missed: only the last of a group is answered.
      if (hasRoom) this.#partial.set(device, [...before, request])
      return
    }
    // Only the index is compared: a device uses one for one group at a time.
    const belongs = (r: PageRequest): boolean => r.group === request.group
    this.#partial.set(
      device,
      before.filter((r) => !belongs(r)),
    )
    if (hasRoom) fault.deliver(found.handle, [...before.filter(belongs), request])
    else request.respond('failure')
  }
  /** No queue is attached any more: what was begun is forgotten (iopf_queue_remove_device). */
  clear(): void {
    this.#partial.clear()
  }

  #hasRoom(): boolean {
    try {
      this.#failures?.pass('iommufd page request', 'queue')
      return true
    } catch (error) {
      if (error instanceof UapiError) return false
      throw error
    }
  }
  #handlerOf({ iommu }: AttachedDevice, pasid: Pasid): Attached | undefined {
    if (pasid === NO_PASID) return this.#attached(this.#rid)
    const found = this.#attached(pasid)
    if (found || iommu.driver.userPasidTable !== true) return found
    // User space keeps the PASID table of the nested domain: all its PASIDs come here.
    const all = this.#attached(this.#rid)
    return all?.hwpt.domain.type === 'nested' ? all : undefined
  }
}
