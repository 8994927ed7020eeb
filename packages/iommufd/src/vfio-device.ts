/** A bound function as VFIO holds it: attaching what is attached replaces. drivers/vfio/iommufd.c vfio_iommufd_physical_*. */
import { type BoundDevice, type Pasid, UapiError } from '@ioasis/core'
import type { Device } from './device.ts'
import { RID } from './device-group.ts'

/** Largest number that an id set of Linux holds (ida_alloc_range). */
const LARGEST = 0x7fff_ffff

/** What VFIO keeps of a bound function. */
export class VfioDevice implements BoundDevice {
  readonly #device: Device
  /** Attached without a PASID. */
  #attached = false
  readonly #pasids = new Set<Pasid>()

  constructor(device: Device) {
    this.#device = device
  }

  get id(): number {
    return this.#device.id
  }
  /**
   * Attaches, or moves its group when it is attached.
   * @param target id of an IOAS or HWPT
   * @param pasid absent: requests without one. 0 is the same place under another name, as in Linux
   * @returns id of the HWPT
   * @throws UapiError as `Device.attach`; ENOSPC for a PASID of more than 31 bits
   */
  attach(target: number, pasid?: Pasid): number {
    if (pasid === undefined) {
      const id = this.#attached ? this.#device.replace(target, RID) : this.#device.attach(target, RID)
      this.#attached = true
      return id
    }
    if (this.#pasids.has(pasid)) return this.#device.replace(target, pasid)
    if (pasid > LARGEST) throw new UapiError('ENOSPC', 'vfio pasid', { pasid })
    const id = this.#device.attach(target, pasid)
    this.#pasids.add(pasid)
    return id
  }
  /** Harmless when it is not attached. */
  detach(pasid?: Pasid): void {
    if (pasid === undefined) {
      if (this.#attached) this.#device.detach(RID)
      this.#attached = false
    } else if (this.#pasids.delete(pasid)) this.#device.detach(pasid)
  }
  unbind(): void {
    for (const pasid of [...this.#pasids].toSorted((a, b) => a - b)) this.detach(pasid)
    this.detach()
    this.#device.unbind()
  }
}
