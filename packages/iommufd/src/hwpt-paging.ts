/** A domain behind an IOAS. drivers/iommu/iommufd/hw_pagetable.c iommufd_hwpt_paging_alloc. */
import { type IommuDevice, type PagingDomain, UapiError } from '@ioasis/core'
import type { FaultQueue } from './fault-queue.ts'
import type { IoPageTable } from './io-pagetable.ts'
import type { IommufdObject, ObjectTable } from './object.ts'
import { HWPT_FLAG } from './uapi.ts'

/** What these HWPTs can do. NEST_PARENT and DIRTY_TRACKING are answered as for hardware that has neither. */
const KNOWN: number = HWPT_FLAG.FAULT_ID_VALID | HWPT_FLAG.PASID

/** A device that HWPTs are made for and attached to. */
export interface AttachedDevice {
  /** Its object id. */
  readonly id: number
  readonly iommu: IommuDevice
}

/** The IOAS of an HWPT. */
export interface HwptIoas {
  users: number
  readonly table: IoPageTable
  /** Those that are filled, in the order they were made. */
  readonly hwpts: HwptPaging[]
}

/** The uAPI's handle of a paging domain. */
export class HwptPaging implements IommufdObject {
  readonly kind = 'hwpt'
  id = 0
  users = 0
  readonly ioas: HwptIoas
  /** Devices can be attached to it for a PASID, and to others beside it. */
  readonly pasidCompatible: boolean
  /** Made for devices that attached to the IOAS, and gone with the last of them. */
  automatic = false
  /** Faults of its devices go there. */
  fault: FaultQueue | undefined
  #domain: PagingDomain | undefined
  #enforced = false
  #filled = false

  constructor(ioas: HwptIoas, flags: number) {
    this.ioas = ioas
    this.pasidCompatible = (flags & HWPT_FLAG.PASID) !== 0
    ioas.users++
  }

  get domain(): PagingDomain {
    if (!this.#domain) throw new Error('iommufd: an HWPT without a domain is used')
    return this.#domain
  }
  /** Leaves make the hardware ignore No Snoop. Decided when it is made, never later. */
  get enforcesCoherency(): boolean {
    return this.#enforced
  }
  /**
   * Gets the domain, and sets its coherency before anything is mapped in it.
   * @throws UapiError EOPNOTSUPP, ENOMEM as the driver; EINVAL when it said it can enforce coherency and cannot
   */
  makeDomain(device: AttachedDevice): void {
    const { paging, caps } = device.iommu
    if (!paging) throw new UapiError('EOPNOTSUPP', 'iommufd HWPT', { device: device.id })
    this.#domain = paging.alloc({ pasid: this.pasidCompatible })
    if (!caps.enforcesCoherency) return
    this.#enforced = this.#domain.coherency?.enforce() ?? false
    if (!this.#enforced) throw new UapiError('EINVAL', 'iommufd HWPT', { device: device.id })
  }
  /** Maps all areas of the IOAS, and from now on those that come. @throws UapiError EINVAL, EADDRINUSE, EFAULT, ENOMEM */
  fill(): void {
    this.ioas.table.addDomain(this.domain)
    this.#filled = true
    this.ioas.hwpts.push(this)
  }
  destroy(): void {
    if (this.#filled) {
      this.ioas.hwpts.splice(this.ioas.hwpts.indexOf(this), 1)
      this.ioas.table.removeDomain(this.domain)
    }
    this.#domain?.free()
    if (this.fault) this.fault.users--
    this.ioas.users--
  }
}

/**
 * Makes an HWPT on an IOAS.
 * @param attach called between making the domain and filling it; undone by `detach` when filling fails
 * @throws UapiError EOPNOTSUPP, EINVAL, EADDRINUSE, EFAULT, ENOMEM; nothing is left then, and no id is used
 */
export function allocHwpt(
  objects: ObjectTable,
  ioas: HwptIoas,
  device: AttachedDevice,
  flags: number,
  attach?: { attach(hwpt: HwptPaging): void; detach(hwpt: HwptPaging): void },
): HwptPaging {
  if ((flags & ~KNOWN) !== 0) throw new UapiError('EOPNOTSUPP', 'iommufd HWPT', { flags })
  return objects.create(new HwptPaging(ioas, flags), (hwpt) => {
    let attached = false
    try {
      hwpt.makeDomain(device)
      attach?.attach(hwpt)
      attached = true
      hwpt.fill()
    } catch (error) {
      if (attached) attach?.detach(hwpt)
      hwpt.destroy()
      throw error
    }
  })
}
