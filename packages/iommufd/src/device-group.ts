/**
 * What the bound devices of one group are attached to, for this context: all of them to the same, for each PASID.
 * drivers/iommu/iommufd/device.c iommufd_hw_pagetable_attach, iommufd_hw_pagetable_detach, iommufd_device_do_replace.
 *
 * Hardware is attached with the first device and detached with the last; each device brings its own reserved ranges.
 */
import { deviceName, type FailurePoints, type Group, type PageRequest, type Pasid, UapiError } from '@ioasis/core'
import type { AttachHandle } from './fault-queue.ts'
import type { AttachedDevice, AttachedIoas, Hwpt } from './hwpt.ts'
import { PageRequests } from './page-requests.ts'

/** The key of requests without a PASID (IOMMU_NO_PASID). */
export const RID: Pasid = 0
/** PCI Express Base Specification "10.5 ATS Specification", Page Request Extended Capability. */
const PRI_CAPABILITY = 0x0013

interface Attachment {
  hwpt: Hwpt
  /** A new one at each replace: requests answer to the attachment they came through. */
  handle: AttachHandle
  readonly devices: Set<AttachedDevice>
}

/** One group within a context. */
export class DeviceGroup {
  readonly group: Group
  /** Bound devices. */
  devices = 0
  readonly #attachments = new Map<Pasid, Attachment>()
  readonly #failures: FailurePoints | undefined
  readonly #requests: PageRequests

  /** @param failures where an attachment may fail */
  constructor(group: Group, failures?: FailurePoints) {
    this.group = group
    this.#failures = failures
    this.#requests = new PageRequests(RID, (pasid) => this.#attachments.get(pasid), failures)
  }

  /** @throws UapiError EBUSY when it is attached; EINVAL when the group is attached elsewhere or the domain does not fit; EADDRINUSE */
  attach(device: AttachedDevice, hwpt: Hwpt, pasid: Pasid): void {
    const now = this.#attachments.get(pasid)
    if (now?.devices.has(device)) refuse('EBUSY', 'attach', pasid)
    if (now && now.hwpt !== hwpt) refuse('EINVAL', 'attach', pasid)
    if (pasid === RID) reserve(hwpt.ioas, device)
    if (now) now.devices.add(device)
    else {
      try {
        this.#attachGroup(device, hwpt, pasid)
      } catch (error) {
        if (pasid === RID) unreserve(hwpt, device)
        throw error
      }
      this.#attachments.set(pasid, { hwpt, handle: { device }, devices: new Set([device]) })
    }
    hwpt.users++
  }
  /** @returns the HWPT it was attached to, which has one user less; undefined: to none */
  detach(device: AttachedDevice, pasid: Pasid): Hwpt | undefined {
    const now = this.#attachments.get(pasid)
    if (!now?.devices.delete(device)) return undefined
    const { hwpt } = now
    if (now.devices.size === 0) {
      if (pasid === RID) this.group.detach()
      else this.group.attachment.removePasid(pasid)
      this.#attachments.delete(pasid)
      this.#ended(hwpt, now.handle)
    }
    if (pasid === RID) unreserve(hwpt, device)
    hwpt.users--
    return hwpt
  }
  /**
   * Moves the whole group to another HWPT.
   * @returns the old one, with no user of this group; undefined: it was there already
   * @throws UapiError EINVAL when the device is not attached or the domain does not fit; EADDRINUSE; what the driver throws
   */
  replace(device: AttachedDevice, hwpt: Hwpt, pasid: Pasid): Hwpt | undefined {
    const now = this.#attachments.get(pasid)
    if (!now?.devices.has(device)) refuse('EINVAL', 'replace', pasid)
    const { hwpt: old, handle } = now
    if (old === hwpt) return undefined
    const moves = pasid === RID && old.ioas !== hwpt.ioas
    if (moves) this.#reserveAll(now.devices, hwpt.ioas)
    try {
      this.#replaceGroup(device, hwpt, pasid)
    } catch (error) {
      // As in Linux, also when the IOAS is the same one, which then has lost the ranges of devices that stay attached to it.
      if (pasid === RID) for (const each of now.devices) unreserve(hwpt, each)
      throw error
    }
    now.handle = { device }
    now.hwpt = hwpt
    this.#ended(old, handle)
    if (moves) for (const each of now.devices) unreserve(old, each)
    hwpt.users += now.devices.size
    old.users -= now.devices.size
    return old
  }
  /** What the group is attached to. */
  hwptFor(pasid: Pasid): Hwpt | undefined {
    return this.#attachments.get(pasid)?.hwpt
  }
  /** What is attached, and which devices have been. */
  get attached(): readonly { readonly hwpt: Hwpt; readonly devices: ReadonlySet<AttachedDevice> }[] {
    return [...this.#attachments.values()]
  }
  /** A device of the group asks for a page. */
  requested(device: AttachedDevice, request: PageRequest): void {
    this.#requests.deliver(device, request)
  }

  #attachGroup(device: AttachedDevice, hwpt: Hwpt, pasid: Pasid): void {
    this.#checkFits(device, hwpt, pasid)
    this.#failures?.pass('iommufd attach')
    const result =
      pasid === RID ? this.group.attach(hwpt.domain) : this.group.attachment.setPasid(pasid, hwpt.domain, 'attach')
    if (result === 'incompatible') refuse('EINVAL', `attach ${deviceName(device.iommu)}`, pasid)
  }
  #replaceGroup(device: AttachedDevice, hwpt: Hwpt, pasid: Pasid): void {
    this.#checkFits(device, hwpt, pasid)
    this.#failures?.pass('iommufd attach')
    const result =
      pasid === RID ? this.group.replace(hwpt.domain) : this.group.attachment.setPasid(pasid, hwpt.domain, 'replace')
    if (result === 'incompatible') refuse('EINVAL', 'replace', pasid)
  }
  /** iommufd_hwpt_compatible_device, iommufd_hwpt_pasid_compat. */
  #checkFits({ iommu }: AttachedDevice, hwpt: Hwpt, pasid: Pasid): void {
    // The response queue of a virtual function is the physical one's.
    if (hwpt.fault && iommu.fn?.virtfn?.physfn.extendedCapability(PRI_CAPABILITY)) refuse('EINVAL', 'attach', pasid)
    const others = [...this.#attachments.keys()].some((key) => key !== RID)
    const fits =
      pasid === RID
        ? hwpt.pasidCompatible || !others
        : hwpt.pasidCompatible && (this.hwptFor(RID)?.pasidCompatible ?? true)
    if (!fits) refuse('EINVAL', 'attach', pasid)
  }
  #ended(hwpt: Hwpt, handle: AttachHandle): void {
    hwpt.fault?.drop(handle)
    if (![...this.#attachments.values()].some((attached) => attached.hwpt.fault)) this.#requests.clear()
  }
  #reserveAll(devices: ReadonlySet<AttachedDevice>, ioas: AttachedIoas): void {
    try {
      for (const device of devices) reserve(ioas, device)
    } catch (error) {
      for (const device of devices) ioas.table.iovas.unreserve(device)
      throw error
    }
  }
}

/** A device's reserved regions, the interrupt window among them, are taken out of the IOAS. @throws UapiError EADDRINUSE */
function reserve({ table }: AttachedIoas, device: AttachedDevice): void {
  try {
    for (const { type, first, last } of device.iommu.reserved) {
      if (type !== 'relaxable') table.iovas.reserve(first, last, device)
    }
  } catch (error) {
    table.iovas.unreserve(device)
    throw error
  }
}
const unreserve = ({ ioas }: Hwpt, device: AttachedDevice): void => ioas.table.iovas.unreserve(device)

function refuse(errno: 'EBUSY' | 'EINVAL', what: string, pasid: Pasid): never {
  throw new UapiError(errno, `iommufd ${what}`, { pasid })
}
