/** A VFIO group: the devices of one IOMMU group, and the container they are in. drivers/vfio/group.c, container.c. */
import { type AddressSpaces, type ContainerMember, type Group, UapiError } from '@ioasis/core'
import type { Container } from './container.ts'
import type { VfioDevice, VfioDeviceGroup } from './device.ts'

/** A container served by an address-space file. */
interface Joined {
  readonly spaces: AddressSpaces
  leave(): void
}

/** The open file of a group, kept by devices that were opened through its container. */
export interface KeptGroupFile {
  hold(): void
  drop(): void
}

/** One group; it exists while devices of it are registered. */
export class VfioGroup implements ContainerMember, VfioDeviceGroup {
  readonly id: number
  readonly iommu: Group | undefined
  readonly devices: Set<VfioDevice> = new Set()
  /** The one open file. */
  file: KeptGroupFile | undefined
  #container: Container | undefined
  /** 1 for the container itself, and one for each opened device. */
  #users = 0
  #joined: Joined | undefined
  #cdevOpens = 0

  /** @param iommu undefined: emulated */
  constructor(id: number, iommu: Group | undefined) {
    this.id = id
    this.iommu = iommu
  }

  /** It has a container of either kind. */
  get hasIommu(): boolean {
    return this.#container !== undefined || this.#joined !== undefined
  }
  /** A container that vfio itself serves has it. */
  get inContainer(): boolean {
    return this.#container !== undefined
  }
  /** The address-space file that serves as container. */
  get spaces(): AddressSpaces | undefined {
    return this.#joined?.spaces
  }
  /** Devices of it that are bound through their own nodes. */
  get cdevOpens(): number {
    return this.#cdevOpens
  }
  /** Nobody else uses the group's DMA. An emulated group has none that others could use. */
  get viable(): boolean {
    return this.hasIommu || !this.iommu?.claimed
  }
  /** All devices that are here: what kvm asks of a group's file. */
  get enforcedCoherent(): boolean {
    return [...this.devices].every((device) => device.enforcedCoherent)
  }

  /** A device is about to be bound through its own node: the group cannot be opened meanwhile. @throws UapiError EBUSY */
  block(): void {
    if (this.file) throw new UapiError('EBUSY', 'vfio_device_block_group', { group: this.id })
    this.#cdevOpens++
  }
  unblock(): void {
    this.#cdevOpens--
  }

  /** @throws UapiError EPERM when somebody else uses the DMA; what the back end answers. Nothing has changed then */
  setContainer(container: Container): void {
    container.add(this)
    this.#container = container
    this.#users = 1
  }
  /** @throws UapiError ENOMEM as the file answers */
  join(spaces: AddressSpaces, face: Required<AddressSpaces>['container']): void {
    this.#joined = { spaces, leave: face.join({ noIommu: false }) }
  }
  /** @throws UapiError EINVAL without a container, EBUSY while devices use it */
  unsetContainer(): void {
    if (!this.hasIommu) throw new UapiError('EINVAL', 'VFIO_GROUP_UNSET_CONTAINER', { group: this.id })
    if (this.#container && this.#users > 1)
      throw new UapiError('EBUSY', 'VFIO_GROUP_UNSET_CONTAINER', { users: this.#users })
    this.leaveContainer()
  }
  /** The group's file is gone, or its last device. */
  leaveContainer(): void {
    const container = this.#container
    this.#container = undefined
    this.#users = 0
    container?.remove(this)
    this.#joined?.leave()
    this.#joined = undefined
  }

  /** A device is opened through the container. @returns it is closed @throws UapiError EINVAL before VFIO_SET_IOMMU */
  useContainer(): () => void {
    if (!this.#container?.chosen) throw new UapiError('EINVAL', 'vfio_group_use_container', { group: this.id })
    const file = this.file
    file?.hold()
    this.#users++
    return () => {
      this.#users--
      file?.drop()
    }
  }
}
