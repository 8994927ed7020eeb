/** One device that a driver offers, from registration to the end of its last user. drivers/vfio/vfio_main.c. */
import {
  type AddressSpaces,
  type Caller,
  Completion,
  type Group,
  type HypervisorHooks,
  type IommuDevice,
  type PciFunction,
  type Removal,
  UapiError,
  type VfioDriver,
  type VfioMemory,
  type VfioSession,
} from '@ioasis/core'
import { bind, type Bindable, type Binding } from './binding.ts'

/**
 * What stands between a group's devices and memory: an IOMMU; nothing but the user's privilege; or software alone, as for
 * emulated devices. Groups of the last two kinds are made by vfio itself, one for each device. `enum vfio_group_type`.
 */
export type GroupKind = 'iommu' | 'noiommu' | 'emulated'

/** A device's use of its group's container. */
export interface ContainerUse {
  readonly memory: VfioMemory
  /** The device is closed. */
  end(): void
}

/** The group of a device as the device and its files use it. */
export interface VfioDeviceGroup {
  readonly id: number
  readonly kind: GroupKind
  /** It has a container of either kind. */
  readonly hasIommu: boolean
  /** Its IOMMU group; undefined for groups that vfio made. */
  readonly iommu: Group | undefined
  /** A container that vfio itself serves has it. */
  readonly inContainer: boolean
  /** A device is about to be bound through its own node: the group cannot be opened meanwhile. @throws UapiError EBUSY */
  block(): void
  /** That device is bound no more. */
  unblock(): void
  /**
   * A device is opened through the container.
   * @param unmapped of an emulated device: told before a range goes of which pages are pinned
   * @throws UapiError EINVAL before VFIO_SET_IOMMU, EPERM without the privilege that no-IOMMU needs
   */
  useContainer(caller: Caller, unmapped?: (first: bigint, bytes: bigint) => void): ContainerUse
}

type ContainerLink = Pick<ContainerUse, 'end'> & Partial<ContainerUse>

/** How a device is opened. */
export interface OpenHow {
  /** The address-space file; undefined: the container of its group. */
  readonly via: AddressSpaces | undefined
  /** Opening it a second time is fine: it comes from the group. */
  readonly again: boolean
  /** The virtual machine that was told of the file it is opened by. */
  readonly vm: object | undefined
}

/** What a device is made of. */
export interface DeviceParts {
  readonly index: number
  readonly driver: VfioDriver
  readonly group: VfioDeviceGroup
  readonly fn: PciFunction | undefined
  readonly iommu: IommuDevice | undefined
  /** Of the kernel. */
  readonly pageBytes: number
  /** The kernel gives devices nodes of their own. */
  readonly cdevs: boolean
  /** Writes to the kernel's log. */
  readonly log: (text: string) => void
  /** The hypervisors of this host. */
  readonly hypervisors: () => readonly HypervisorHooks[]
}

/** A registered device. All its open files share one session. */
export class VfioDevice implements Bindable {
  /** N of /dev/vfio/devices/vfioN. */
  readonly index: number
  readonly driver: VfioDriver
  readonly group: VfioDeviceGroup
  readonly pageBytes: number
  /** The kernel was built with nodes of their own for devices: without them nothing can be bound by its file. */
  readonly cdevs: boolean
  /** Absent for emulated devices. */
  readonly fn: PciFunction | undefined
  /** Absent for emulated devices, and without an IOMMU. */
  readonly iommu: IommuDevice | undefined
  readonly #hypervisors: DeviceParts['hypervisors']
  readonly #log: DeviceParts['log']
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
    this.pageBytes = parts.pageBytes
    this.cdevs = parts.cdevs
    this.#hypervisors = parts.hypervisors
    this.#log = parts.log
  }

  /** As sysfs and VFIO_GROUP_GET_DEVICE_FD name it. */
  get name(): string {
    const { connection } = this.driver
    return this.fn?.name ?? (connection.kind === 'emulated' ? connection.name : '')
  }
  /** dev_warn(). */
  warn(text: string): void {
    this.#log(`${this.driver.name} ${this.name}: ${text}`)
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
   * @throws UapiError EINVAL when it is open already; what bind and the driver answer
   */
  open(caller: Caller, { via, again, vm }: OpenHow): VfioSession {
    if (this.#session) {
      if (!again) throw new UapiError('EINVAL', 'vfio_df_open', { device: this.name })
      this.#opens++
      return this.#session
    }
    const letVmGo = vm && this.#keepVm(vm)
    let link: ContainerLink | undefined
    const unlink = (): void => {
      link?.end()
      letVmGo?.()
    }
    try {
      link = this.#link(caller, via)
      const memory = this.driver.connection.kind === 'emulated' && link.memory ? { memory: link.memory } : {}
      this.#session = this.driver.open(caller, { vm: letVmGo && vm, ...memory })
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

  /** The driver wants the device back: users are told, and it is gone when they let go. @param count how often they were told before */
  askBack(count: number): void {
    this.#session?.request(count)
  }

  /** Its way to memory. Without an IOMMU an address-space file holds nothing of it. vfio_df_device_first_open */
  #link(caller: Caller, via: AddressSpaces | undefined): ContainerLink {
    const { connection } = this.driver
    if (!via)
      return this.group.useContainer(
        caller,
        connection.kind === 'emulated' ? connection.unmapped.bind(connection) : undefined,
      )
    if (this.group.kind === 'noiommu') return { end: () => undefined }
    const binding = bind(this, via)
    this.#binding = binding
    const end = (): void => {
      this.#binding = undefined
      binding.unbind()
    }
    return binding.memory ? { memory: binding.memory, end } : { end }
  }
  #keepVm(vm: object): (() => void) | undefined {
    for (const hypervisor of this.#hypervisors()) {
      const letGo = hypervisor.keep(vm)
      if (letGo) return letGo
    }
    return undefined
  }
}
