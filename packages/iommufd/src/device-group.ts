/**
 * What the bound devices of one group are attached to, for this context: all of them to the same, for each PASID.
 * drivers/iommu/iommufd/device.c iommufd_hw_pagetable_attach, iommufd_hw_pagetable_detach, iommufd_device_do_replace.
 *
 * Hardware is attached with the first device and detached with the last; each device brings its own reserved ranges.
 */
import { type Group, type Pasid, UapiError } from '@ioasis/core'
import type { AttachedDevice, HwptIoas, HwptPaging } from './hwpt-paging.ts'

/** The key of requests without a PASID (IOMMU_NO_PASID). */
export const RID: Pasid = 0

interface Attachment {
  hwpt: HwptPaging
  readonly devices: Set<AttachedDevice>
}

/** One group within a context. */
export class DeviceGroup {
  readonly group: Group
  /** Bound devices. */
  devices = 0
  readonly #attachments = new Map<Pasid, Attachment>()

  constructor(group: Group) {
    this.group = group
  }

  /** @throws UapiError EBUSY when it is attached; EINVAL when the group is attached elsewhere or the domain does not fit; EADDRINUSE */
  attach(device: AttachedDevice, hwpt: HwptPaging, pasid: Pasid): void {
    const now = this.#attachments.get(pasid)
    if (now?.devices.has(device)) refuse('EBUSY', 'attach', pasid)
    if (now && now.hwpt !== hwpt) refuse('EINVAL', 'attach', pasid)
    if (pasid === RID) reserve(hwpt.ioas, device)
    if (now) now.devices.add(device)
    else {
      try {
        this.#attachGroup(device, hwpt, pasid)
      } catch (error) {
        if (pasid === RID) hwpt.ioas.table.iovas.unreserve(device)
        throw error
      }
      this.#attachments.set(pasid, { hwpt, devices: new Set([device]) })
    }
    hwpt.users++
  }
  /** @returns the HWPT it was attached to, which has one user less; undefined: to none */
  detach(device: AttachedDevice, pasid: Pasid): HwptPaging | undefined {
    const now = this.#attachments.get(pasid)
    if (!now?.devices.delete(device)) return undefined
    const { hwpt } = now
    if (now.devices.size === 0) {
      if (pasid === RID) this.group.detach()
      else this.group.attachment.removePasid(pasid)
      this.#attachments.delete(pasid)
      hwpt.fault?.drop(device)
    }
    if (pasid === RID) hwpt.ioas.table.iovas.unreserve(device)
    hwpt.users--
    return hwpt
  }
  /**
   * Moves the whole group to another HWPT.
   * @returns the old one, with no user of this group; undefined: it was there already
   * @throws UapiError EINVAL when the device is not attached or the domain does not fit; EADDRINUSE; nothing has changed then
   */
  replace(device: AttachedDevice, hwpt: HwptPaging, pasid: Pasid): HwptPaging | undefined {
    const now = this.#attachments.get(pasid)
    if (!now?.devices.has(device)) refuse('EINVAL', 'replace', pasid)
    const old = now.hwpt
    if (old === hwpt) return undefined
    const moves = pasid === RID && old.ioas !== hwpt.ioas
    if (moves) this.#reserveAll(now.devices, hwpt.ioas)
    try {
      this.#checkPasid(hwpt, pasid)
      const result =
        pasid === RID ? this.group.replace(hwpt.domain) : this.group.attachment.setPasid(pasid, hwpt.domain, 'replace')
      if (result === 'incompatible') refuse('EINVAL', 'replace', pasid)
    } catch (error) {
      if (moves) for (const each of now.devices) hwpt.ioas.table.iovas.unreserve(each)
      throw error
    }
    if (moves) for (const each of now.devices) old.ioas.table.iovas.unreserve(each)
    for (const each of now.devices) old.fault?.drop(each)
    now.hwpt = hwpt
    hwpt.users += now.devices.size
    old.users -= now.devices.size
    return old
  }
  /** What the group is attached to. */
  hwptFor(pasid: Pasid): HwptPaging | undefined {
    return this.#attachments.get(pasid)?.hwpt
  }

  #attachGroup(device: AttachedDevice, hwpt: HwptPaging, pasid: Pasid): void {
    this.#checkPasid(hwpt, pasid)
    const result =
      pasid === RID ? this.group.attach(hwpt.domain) : this.group.attachment.setPasid(pasid, hwpt.domain, 'attach')
    if (result === 'incompatible') refuse('EINVAL', `attach ${device.iommu.fn.name}`, pasid)
  }
  /** A domain made for PASIDs goes with others of its kind only (iommufd_hwpt_pasid_compat). */
  #checkPasid(hwpt: HwptPaging, pasid: Pasid): void {
    const others = [...this.#attachments.keys()].some((key) => key !== RID)
    const fits =
      pasid === RID
        ? hwpt.pasidCompatible || !others
        : hwpt.pasidCompatible && (this.hwptFor(RID)?.pasidCompatible ?? true)
    if (!fits) refuse('EINVAL', 'attach', pasid)
  }
  #reserveAll(devices: ReadonlySet<AttachedDevice>, ioas: HwptIoas): void {
    try {
      for (const device of devices) reserve(ioas, device)
    } catch (error) {
      for (const device of devices) ioas.table.iovas.unreserve(device)
      throw error
    }
  }
}

/** A device's reserved regions, the interrupt window among them, are taken out of the IOAS. @throws UapiError EADDRINUSE */
function reserve({ table }: HwptIoas, device: AttachedDevice): void {
  try {
    for (const { type, first, last } of device.iommu.reserved) {
      if (type !== 'relaxable') table.iovas.reserve(first, last, device)
    }
  } catch (error) {
    table.iovas.unreserve(device)
    throw error
  }
}

function refuse(errno: 'EBUSY' | 'EINVAL', what: string, pasid: Pasid): never {
  throw new UapiError(errno, `iommufd ${what}`, { pasid })
}
