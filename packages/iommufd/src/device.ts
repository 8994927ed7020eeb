/** Bound devices: bind, attach, replace, detach. drivers/iommu/iommufd/device.c. */
import { deviceName, type Group, type IommuDevice, type KernelDevice, type Pasid, UapiError } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { DeviceGroup } from './device-group.ts'
import type { AttachedDevice, Hwpt } from './hwpt.ts'
import { HwptNested } from './hwpt-nested.ts'
import { allocHwpt, HwptPaging } from './hwpt-paging.ts'
import { Ioas } from './ioas.ts'
import type { IommufdObject } from './object.ts'

/** How a device is bound. */
export interface BindHow {
  /** It keeps the context after the last close: not a device that an object in the context bound itself. */
  readonly keepsContext: boolean
}

/** A function that a driver bound to a context. It owns its group's DMA together with the group's other bound devices. */
export class Device implements IommufdObject, KernelDevice, AttachedDevice {
  readonly kind = 'device'
  id = 0
  /** The driver that bound it, until `unbind`; each of its attachments; its virtual device. */
  users = 1
  readonly iommu: IommuDevice
  /** What a guest knows it as. */
  vdevice: IommufdObject | undefined
  /** It goes: no virtual device may come any more. */
  ending = false
  readonly #context: IommufdContext
  readonly #group: DeviceGroup
  readonly #keepsContext: boolean
  readonly #pasids = new Set<Pasid>()

  /** Made by `bindDevice`. */
  constructor(context: IommufdContext, iommu: IommuDevice, group: DeviceGroup, how: BindHow) {
    this.#context = context
    this.iommu = iommu
    this.#group = group
    this.#keepsContext = how.keepsContext
    if (how.keepsContext) context.hold()
    iommu.pageRequests?.listen((request) => this.#group.requested(this, request))
  }

  /**
   * Attaches to an IOAS or a HWPT.
   * @param pasid 0: requests without one
   * @returns id of the HWPT
   * @throws UapiError ENOENT, EINVAL, EBUSY, EADDRINUSE, EFAULT, ENOMEM; what the driver throws
   */
  attach(target: number, pasid: Pasid): number {
    const id = this.#change(target, pasid, false)
    this.#pasids.add(pasid)
    this.users++
    return id
  }
  /** Moves its group to another one, for a PASID it is attached for. @returns id of the HWPT @throws UapiError as `attach` */
  replace(target: number, pasid: Pasid): number {
    return this.#change(target, pasid, true)
  }
  detach(pasid: Pasid): void {
    if (!this.#pasids.delete(pasid)) return
    this.#put(this.#group.detach(this, pasid))
    this.users--
  }
  unbind(): void {
    // Whoever binds detaches first; Linux would leave a device behind that nobody can remove.
    for (const pasid of [...this.#pasids].toReversed()) this.detach(pasid)
    this.ending = true
    if (this.vdevice) this.#context.objects.bury(this.vdevice)
    this.users--
    this.#context.objects.destroyIfUnused(this)
  }
  destroy(): void {
    this.iommu.pageRequests?.listen(undefined)
    const { group } = this.#group
    group.release(this.#context)
    if (--this.#group.devices === 0) this.#context.groups.delete(group)
    if (this.#keepsContext) this.#context.release()
  }

  #change(target: number, pasid: Pasid, isReplace: boolean): number {
    const object = this.#context.objects.get(target)
    if (object instanceof HwptPaging || object instanceof HwptNested) {
      this.#move(object, pasid, isReplace)
      return object.id
    }
    if (object instanceof Ioas) return this.#automatic(object, pasid, isReplace)
    throw new UapiError('EINVAL', 'iommufd attach', { target })
  }
  #move(hwpt: Hwpt, pasid: Pasid, isReplace: boolean): void {
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
    return hwpt.id
  }
  /** The group is attached while the domain is still empty, so that its refusal comes before the IOAS's. */
  #attachNew(ioas: Ioas, pasid: Pasid): HwptPaging {
    const hwpt = allocHwpt(
      this.#context.objects,
      ioas,
      this,
      { flags: 0 },
      {
        attach: (made) => this.#group.attach(this, made, pasid),
        detach: () => this.#group.detach(this, pasid),
      },
    )
    hwpt.automatic = true
    return hwpt
  }
  #replaceByNew(ioas: Ioas, pasid: Pasid): HwptPaging {
    let old: Hwpt | undefined
    const made = (hwpt: HwptPaging): void => {
      old = this.#group.replace(this, hwpt, pasid)
      hwpt.automatic = true
    }
    const hwpt = allocHwpt(this.#context.objects, ioas, this, { flags: 0 }, { made })
    this.#put(old)
    return hwpt
  }
  /** iommufd_hw_pagetable_put. */
  #put(hwpt: Hwpt | undefined): void {
    if (hwpt instanceof HwptPaging && hwpt.automatic) this.#context.objects.destroyIfUnused(hwpt)
  }
}

/**
 * Binds a device: takes its group for the context (iommufd_device_bind).
 * @param group undefined: no IOMMU covers it
 * @throws UapiError EINVAL when DMA is not coherent; ENODEV without a group; EPERM when interrupts are not isolated and root did
 * not allow that, a driver uses the DMA API, or somebody else owns the group; ENOMEM
 */
export function bindDevice(
  context: IommufdContext,
  iommu: IommuDevice,
  group: Group | undefined,
  how: BindHow = { keepsContext: true },
): Device {
  const name = deviceName(iommu)
  if (!iommu.caps.cacheCoherent) throw new UapiError('EINVAL', 'iommufd bind', { device: name })
  if (!group) throw new UapiError('ENODEV', 'iommufd bind', { device: name })
  // One that sits on no bus has no interrupt messages.
  const unsafe = context.parts.unsafeInterrupts?.enabled ?? false
  if (iommu.fn && !unsafe && !group.devices.every((device) => device.caps.isolatedMsi)) {
    throw new UapiError('EPERM', 'iommufd bind', { group: group.id, interrupts: 'not isolated' })
  }
  group.claim(context, true)
  const members = context.groups.get(group) ?? new DeviceGroup(group, context.parts.failures)
  try {
    return context.objects.make(() => {
      context.groups.set(group, members)
      members.devices++
      return new Device(context, iommu, members, how)
    })
  } catch (error) {
    group.release(context)
    throw error
  }
}
