/** What HWPTs of both kinds have in common: struct iommufd_hw_pagetable of drivers/iommu/iommufd/iommufd_private.h. */
import type { Domain, IommuDevice } from '@ioasis/core'
import type { FaultQueue } from './fault-queue.ts'
import type { IoPageTable } from './io-pagetable.ts'
import type { IommufdObject } from './object.ts'

/** A device that HWPTs are made for and attached to. */
export interface AttachedDevice {
  /** Its object id. */
  readonly id: number
  readonly iommu: IommuDevice
}

/** The IOAS behind an HWPT, as devices that attach need it: there they reserve their ranges. */
export interface AttachedIoas {
  readonly table: IoPageTable
}

/** The uAPI's handle of a domain. */
export interface Hwpt extends IommufdObject {
  readonly domain: Domain
  /** Of a nested one: its parent's (find_hwpt_paging). */
  readonly ioas: AttachedIoas
  /** Devices can be attached to it for a PASID, and to others beside it. */
  readonly pasidCompatible: boolean
  /** Page requests of its devices go there. */
  fault: FaultQueue | undefined
}

/** Its devices' page requests go to a queue from now on: decided when it is made, never later. */
export function answerThrough(hwpt: Hwpt, fault: FaultQueue): void {
  hwpt.fault = fault
  hwpt.domain.answersPageRequests = true
  fault.users++
}
