/** One device that a driver offers, from registration to the end of its last user. drivers/vfio/vfio_main.c. */
import {
  type AddressSpaces,
  type Caller,
  Completion,
  type Group,
  type IommuDevice,
  type PciFunction,
  type Removal,
  UapiError,
  type VfioDriver,
  type VfioSession,
} from '@ioasis/core'
import { bind, type Bindable, type Binding } from './binding.ts'

/** The group of a device as the device and its files use it. */
export interface VfioDeviceGroup {
  readonly id: number
  /** Its IOMMU group; undefined: emulated. */
  readonly iommu: Group | undefined
  /** A container that vfio itself serves has it. */
  readonly inContainer: boolean
  /** A device is about to be bound through its own node: the group cannot be opened meanwhile. @throws UapiError EBUSY */
  block(): void
  /** That device is bound no more. */
  unblock(): void
  /** A device is opened through the container. @returns it is closed @throws UapiError EINVAL before VFIO_SET_IOMMU */
  useContainer(): () => void
}

/** What a device is made of. */
export interface DeviceParts {
  readonly index: number
  readonly driver: VfioDriver
  readonly group: VfioDeviceGroup
  readonly fn: PciFunction | undefined
  readonly iommu: IommuDevice | undefined
}

/** A registered device. All its open files share one session. */
export class VfioDevice implements Bindable {
  /** N of /dev/vfio/devices/vfioN. */
  readonly index: number
  readonly driver: VfioDriver
  readonly group: VfioDeviceGroup
  /** Absent for emulated devices. */
  readonly fn: PciFunction | undefined
  /** Absent for emulated devices. */
  readonly iommu: IommuDevice | undefined
  /** It was opened through its own node, not through its group. */
  cdevOpened = false
  readonly #gone = new Completion()
  /** The driver, and each open file. */
  #holders = 1
  #opens = 0
  #session: VfioSession | undefined
  #unlink: () => void = () => undefined
  #binding: Binding | undefined

  constructor(parts: DeviceParts) {
    this.index = parts.index
    this.driver = parts.driver
    this.group = parts.group
    this.fn = parts.fn
    this.iommu = parts.iommu
  }

  /** As sysfs and VFIO_GROUP_GET_DEVICE_FD name it. */
  get name(): string {
    const { connection } = this.driver
    return this.fn?.name ?? (connection.kind === 'emulated' ? connection.name : '')
  }
  /** Files that opened the driver's side: bound, or taken from the group. */
  get opens(): number {
    return this.#opens
  }
  /** While it is bound to an address-space file. */
  get binding(): Binding | undefined {
    return this.#binding
  }
  /** DMA through it is coherent whatever it asks: its IOMMU's answer. A device without an IOMMU has nobody to say so. */
  get enforcedCoherent(): boolean {
    return this.iommu?.caps.enforcesCoherency ?? false
  }
  /** Done once the driver and all files let go. */
  get gone(): Removal {
    return this.#gone
  }

  /** A file holds the device, opened or parked. */
  hold(): void {
    this.#holders++
  }
  /** A file, or at last the driver, lets go. */
  drop(): void {
    if (--this.#holders === 0) this.#gone.finish()
  }

  /**
   * Opens the driver's side; the first time binds the device, or makes it use its group's container, and enables it.
   * @param via the address-space file; undefined: the container of its group
   * @param again opening it a second time is fine: it comes from the group
   * @throws UapiError EINVAL when it is open already; what bind and the driver answer
   */
  open(caller: Caller, via: AddressSpaces | undefined, again: boolean): VfioSession {
    if (this.#session) {
      if (!again) throw new UapiError('EINVAL', 'vfio_df_open', { device: this.name })
      this.#opens++
      return this.#session
    }
    const unlink = via ? this.#bindTo(via) : this.group.useContainer()
    try {
      this.#session = this.driver.open(caller)
    } catch (error) {
      unlink()
      throw error
    }
    this.#unlink = unlink
    this.#opens = 1
    return this.#session
  }
  /** One user less; the last one closes the driver's side, then the way to memory. */
  close(): void {
    if (--this.#opens > 0) return
    this.#session?.close()
    this.#session = undefined
    this.#unlink()
  }

  /** The driver wants the device back: users are told, and it is gone when they let go. */
  askBack(): void {
    this.#session?.request(0)
  }

  #bindTo(via: AddressSpaces): () => void {
    const binding = bind(this, via)
    this.#binding = binding
    return () => {
      this.#binding = undefined
      binding.unbind()
    }
  }
}
