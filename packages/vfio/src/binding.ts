/**
 * A device bound to an address-space file: attached or not, also for PASIDs. drivers/vfio/iommufd.c vfio_iommufd_physical_*,
 * vfio_iommufd_emulated_*.
 */
import {
  type AddressSpaceFile,
  type AddressSpaces,
  type BoundAccess,
  type BoundDevice,
  type FileOps,
  type IommuDevice,
  type PciFunction,
  UapiError,
  type VfioDriver,
  type VfioMemory,
} from '@ioasis/core'
import { accessMemory } from './device-memory.ts'

const MOST_PASID = 0x7fff_ffff

/** What a file offers to devices; undefined: it is no such file. */
export const addressSpacesOf = (file: FileOps): AddressSpaces | undefined =>
  'addressSpaces' in file ? (file as AddressSpaceFile).addressSpaces : undefined

/** A device that can be bound. */
export interface Bindable {
  readonly name: string
  readonly driver: VfioDriver
  /** Of the kernel. */
  readonly pageBytes: number
  /** Absent for emulated devices. */
  readonly fn: PciFunction | undefined
  /** Absent for emulated devices. */
  readonly iommu: IommuDevice | undefined
}

/** One bound device, until `unbind`. */
export interface Binding {
  readonly spaces: AddressSpaces
  /** Object id of the device in the file. */
  readonly id: number
  /** Attaches, or replaces what is attached. @returns id of what it is attached to @throws UapiError as the file answers */
  attach(target: number): number
  /** Nothing happens when it is not attached. */
  detach(): void
  /** Absent: the device has no PASIDs of its own (EOPNOTSUPP). */
  readonly pasids?: {
    attach(target: number, pasid: number): number
    detach(pasid: number): void
  }
  /** Present for emulated devices. */
  readonly memory?: VfioMemory
  unbind(): void
}

/** @throws UapiError EPERM, ENOMEM as the file answers */
export function bind(device: Bindable, spaces: AddressSpaces): Binding {
  const { connection } = device.driver
  if (connection.kind === 'emulated') {
    const user = { name: connection.name, needsPins: true, unmapped: connection.unmapped.bind(connection) }
    const access = spaces.bindAccess(user)
    return Object.assign(new EmulatedBinding(spaces, access), { memory: accessMemory(access, device.pageBytes) })
  }
  if (!device.fn || !device.iommu) throw new Error(`${device.name}: bound without an IOMMU`)
  return new PhysicalBinding(spaces, spaces.bindDevice(device.fn, device.iommu))
}

/** What both kinds have: attached or not. As it stands it serves an emulated device. */
class EmulatedBinding<Bound extends BoundDevice | BoundAccess = BoundAccess> implements Binding {
  readonly spaces: AddressSpaces
  protected readonly bound: Bound
  #attached = false

  constructor(spaces: AddressSpaces, bound: Bound) {
    this.spaces = spaces
    this.bound = bound
  }
  get id(): number {
    return this.bound.id
  }
  attach(target: number): number {
    const id = this.bound.attach(target)
    this.#attached = true
    return id
  }
  detach(): void {
    if (!this.#attached) return
    this.bound.detach()
    this.#attached = false
  }
  unbind(): void {
    this.detach()
    this.bound.unbind()
  }
}

class PhysicalBinding extends EmulatedBinding<BoundDevice> {
  readonly #pasids = new Set<number>()
  readonly pasids: Required<Binding>['pasids'] = {
    attach: (target, pasid) => {
      // A number that is no int is none that could be kept (ida_alloc_range).
      if (pasid > MOST_PASID) throw new UapiError('ENOSPC', 'VFIO_DEVICE_ATTACH_IOMMUFD_PT', { pasid })
      const id = this.bound.attach(target, pasid)
      this.#pasids.add(pasid)
      return id
    },
    detach: (pasid) => {
      if (this.#pasids.delete(pasid)) this.bound.detach(pasid)
    },
  }

  override unbind(): void {
    for (const pasid of this.#pasids) this.bound.detach(pasid)
    this.#pasids.clear()
    super.unbind()
  }
}
