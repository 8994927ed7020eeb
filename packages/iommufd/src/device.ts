/** Bound devices: bind, attach, replace, detach. drivers/iommu/iommufd/device.c, drivers/vfio/iommufd.c. */
import {
  type BoundDevice,
  type IommuDevice,
  NO_PASID,
  type PageRequest,
  type Pasid,
  type PciFunction,
  UapiError,
} from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { DeviceGroup, RID } from './device-group.ts'
import { allocHwpt, type AttachedDevice, HwptPaging } from './hwpt-paging.ts'
import { Ioas } from './ioas.ts'
import type { IommufdObject } from './object.ts'

/** A function that a driver bound to a context. It owns its group's DMA together with the group's other bound devices. */
export class Device implements IommufdObject, BoundDevice, AttachedDevice {
  readonly kind = 'device'
  id = 0
  /** The driver that bound it, until `unbind`. */
  users = 1
  readonly iommu: IommuDevice
  readonly #context: IommufdContext
  readonly #group: DeviceGroup
  /** Attached without a PASID, as vfio keeps it. */
  #attached = false
  readonly #pasids = new Set<Pasid>()

  /** Made by `bindDevice`. */
  constructor(context: IommufdContext, iommu: IommuDevice, group: DeviceGroup) {
    this.#context = context
    this.iommu = iommu
    this.#group = group
    iommu.pageRequests?.listen((request) => this.#requested(request))
  }

  /**
   * Attaches, or moves its group when it is attached.
   * @param target id of an IOAS or HWPT
   * @param pasid absent: requests without one. 0 is the same place under another name, as in Linux
   * @returns id of the HWPT
   * @throws UapiError ENOENT, EINVAL, EBUSY, EADDRINUSE, EFAULT, ENOMEM; ENOSPC for a PASID of more than 31 bits
   */
  attach(target: number, pasid?: Pasid): number {
    if (pasid === undefined) {
      const id = this.#change(target, RID, this.#attached)
      this.#attached = true
      return id
    }
    if (pasid > 0x7fff_ffff) throw new UapiError('ENOSPC', 'vfio pasid', { pasid })
    const id = this.#change(target, pasid, this.#pasids.has(pasid))
    this.#pasids.add(pasid)
    return id
  }
  /** Harmless when it is not attached. */
  detach(pasid?: Pasid): void {
    if (pasid === undefined) {
      if (this.#attached) this.#put(this.#group.detach(this, RID))
      this.#attached = false
    } else if (this.#pasids.delete(pasid)) this.#put(this.#group.detach(this, pasid))
  }
  unbind(): void {
    for (const pasid of this.#pasids) this.detach(pasid)
    this.detach()
    this.users--
    this.#context.objects.destroyIfUnused(this)
  }
  destroy(): void {
    this.iommu.pageRequests?.listen(undefined)
    const { group } = this.#group
    group.release(this.#context)
    if (--this.#group.devices === 0) this.#context.groups.delete(group)
    this.#context.release()
  }

  /** A page request goes to the fault queue of what the device is attached to for its PASID; without one it is refused. */
  #requested(request: PageRequest): void {
    const fault = this.#group.hwptFor(request.pasid === NO_PASID ? RID : request.pasid)?.fault
    if (fault) fault.deliver(this, request)
    else if (request.last) request.respond('invalid')
  }
  #change(target: number, pasid: Pasid, isReplace: boolean): number {
    const object = this.#context.objects.get(target)
    if (object instanceof HwptPaging) {
      this.#move(object, pasid, isReplace)
      return object.id
    }
    if (object instanceof Ioas) return this.#automatic(object, pasid, isReplace)
    throw new UapiError('EINVAL', 'iommufd attach', { target })
  }
  #move(hwpt: HwptPaging, pasid: Pasid, isReplace: boolean): void {
    if (!isReplace) this.#group.attach(this, hwpt, pasid)
    else this.#put(this.#group.replace(this, hwpt, pasid))
  }
  /** Any automatic HWPT of the IOAS that takes the device will do; else one is made (iommufd_device_auto_get_domain). */
  #automatic(ioas: Ioas, pasid: Pasid, isReplace: boolean): number {
    for (const hwpt of ioas.hwpts.filter((each) => each.automatic)) {
      try {
        this.#move(hwpt, pasid, isReplace)
        return hwpt.id
      } catch (error) {
        if (!(error instanceof UapiError) || error.errno !== 'EINVAL') throw error
      }
    }
    const hwpt = isReplace ? this.#replaceByNew(ioas, pasid) : this.#attachNew(ioas, pasid)
    hwpt.automatic = true
    return hwpt.id
  }
  /** The group is attached while the domain is still empty, so that its refusal comes before the IOAS's. */
  #attachNew(ioas: Ioas, pasid: Pasid): HwptPaging {
    return allocHwpt(this.#context.objects, ioas, this, 0, {
      attach: (hwpt) => this.#group.attach(this, hwpt, pasid),
      detach: () => this.#group.detach(this, pasid),
    })
  }
  #replaceByNew(ioas: Ioas, pasid: Pasid): HwptPaging {
    const hwpt = allocHwpt(this.#context.objects, ioas, this, 0)
    try {
      this.#move(hwpt, pasid, true)
    } catch (error) {
      this.#context.objects.destroyIfUnused(hwpt)
      throw error
    }
    return hwpt
  }
  #put(hwpt: HwptPaging | undefined): void {
    if (hwpt?.automatic) this.#context.objects.destroyIfUnused(hwpt)
  }
}

/**
 * Binds a function: takes its group for the context.
 * @throws UapiError EINVAL when DMA is not coherent; ENODEV without a group; EPERM when interrupts are not isolated, a driver
 * uses the DMA API, or somebody else owns the group
 */
export function bindDevice(context: IommufdContext, fn: PciFunction, iommu: IommuDevice): Device {
  if (!iommu.caps.cacheCoherent) throw new UapiError('EINVAL', 'iommufd bind', { function: fn.name })
  const group = context.groupOf(fn)
  if (!group.devices.every((device) => device.caps.isolatedMsi)) {
    throw new UapiError('EPERM', 'iommufd bind', { group: group.id, interrupts: 'not isolated' })
  }
  group.claim(context, true)
  let members = context.groups.get(group)
  if (!members) context.groups.set(group, (members = new DeviceGroup(group)))
  members.devices++
  context.hold()
  return context.objects.add(new Device(context, iommu, members))
}
