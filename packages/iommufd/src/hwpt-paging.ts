/** A domain behind an IOAS. drivers/iommu/iommufd/hw_pagetable.c iommufd_hwpt_paging_alloc. */
import { type IommuDriver, type PagingDomain, UapiError, type UserData } from '@ioasis/core'
import type { FaultQueue } from './fault-queue.ts'
import type { AttachedDevice, AttachedIoas, Hwpt } from './hwpt.ts'
import type { ObjectTable } from './object.ts'
import { HWPT_FLAG } from './uapi.ts'

const KNOWN: number = HWPT_FLAG.NEST_PARENT | HWPT_FLAG.DIRTY_TRACKING | HWPT_FLAG.FAULT_ID_VALID | HWPT_FLAG.PASID

/** The IOAS of an HWPT. */
export interface HwptIoas extends AttachedIoas {
  users: number
  /** Those that are filled, in the order they were made. */
  readonly hwpts: HwptPaging[]
}

/** How one is made. */
export interface PagingRequest {
  readonly flags: number
  /** Of the driver's own kind. */
  readonly data?: UserData | undefined
}

/** The uAPI's handle of a paging domain. */
export class HwptPaging implements Hwpt {
  readonly kind = 'hwpt-paging'
  id = 0
  users = 0
  readonly ioas: HwptIoas
  readonly pasidCompatible: boolean
  /** Nested domains can be made on it. */
  readonly nestParent: boolean
  /** Made for devices that attached to the IOAS, and gone with the last of them. */
  automatic = false
  fault: FaultQueue | undefined
  #domain: PagingDomain | undefined
  #driver: IommuDriver | undefined
  #enforced = false
  #filled = false

  constructor(ioas: HwptIoas, flags: number) {
    this.ioas = ioas
    this.pasidCompatible = (flags & HWPT_FLAG.PASID) !== 0
    this.nestParent = (flags & HWPT_FLAG.NEST_PARENT) !== 0
    ioas.users++
  }

  get domain(): PagingDomain {
    if (!this.#domain) throw new Error('iommufd: an HWPT without a domain is used')
    return this.#domain
  }
  /** Who made the domain. */
  get driver(): IommuDriver | undefined {
    return this.#driver
  }
  /** Leaves make the hardware ignore No Snoop. Decided when it is made, never later. */
  get enforcesCoherency(): boolean {
    return this.#enforced
  }
  /**
   * Gets the domain, and sets its coherency before anything is mapped in it.
   * @throws UapiError EOPNOTSUPP, ENOMEM as the driver; EINVAL when it said it can enforce coherency and cannot
   */
  makeDomain(device: AttachedDevice, { flags, data }: PagingRequest): void {
    const { paging, caps, driver } = device.iommu
    if (!paging) throw new UapiError('EOPNOTSUPP', 'iommufd HWPT', { device: device.id })
    this.#domain = paging.alloc({
      nestParent: this.nestParent,
      dirtyTracking: (flags & HWPT_FLAG.DIRTY_TRACKING) !== 0,
      pasid: this.pasidCompatible,
      ...(data && { data }),
    })
    this.#driver = driver
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

/** What may be asked of a domain of a device. @throws UapiError EOPNOTSUPP */
function checkFlags({ iommu }: AttachedDevice, flags: number): void {
  const refuse = (): UapiError => new UapiError('EOPNOTSUPP', 'iommufd HWPT', { flags })
  if ((flags & ~KNOWN) !== 0) throw refuse()
  if (flags & HWPT_FLAG.DIRTY_TRACKING && iommu.caps.dirtyTracking !== true) throw refuse()
  // A parent is not attached itself, so that no page request would come to it.
  if (flags & HWPT_FLAG.FAULT_ID_VALID && flags & HWPT_FLAG.NEST_PARENT) throw refuse()
}

/**
 * Makes an HWPT on an IOAS.
 * @param finish called between making the domain and filling it, and undone when filling fails; or once all is there
 * @throws UapiError EOPNOTSUPP, EINVAL, EADDRINUSE, EFAULT, ENOMEM; nothing is left then, and no id is used
 */
export function allocHwpt(
  objects: ObjectTable,
  ioas: HwptIoas,
  device: AttachedDevice,
  request: PagingRequest,
  finish?: {
    attach?(hwpt: HwptPaging): void
    detach?(hwpt: HwptPaging): void
    /** @throws UapiError to give it up again */
    made?(hwpt: HwptPaging): void
  },
): HwptPaging {
  checkFlags(device, request.flags)
  const complete = (hwpt: HwptPaging): void => {
    let attached = false
    try {
      hwpt.makeDomain(device, request)
      finish?.attach?.(hwpt)
      attached = true
      hwpt.fill()
      finish?.made?.(hwpt)
    } catch (error) {
      if (attached) finish?.detach?.(hwpt)
      hwpt.destroy()
      throw error
    }
  }
  return objects.make(() => new HwptPaging(ioas, request.flags), complete)
}
