/** A VFIO group: the devices of one IOMMU group, and the container they are in. drivers/vfio/group.c, container.c. */
import { type AddressSpaces, type Caller, type ContainerMember, type Group, UapiError } from '@ioasis/core'
import type { Container } from './container.ts'
import type { ContainerUse, GroupKind, VfioDevice, VfioDeviceGroup } from './device.ts'
import { containerMemory } from './device-memory.ts'

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
  readonly kind: GroupKind
  readonly iommu: Group | undefined
  readonly devices: Set<VfioDevice> = new Set()
  /** The one open file. */
  file: KeptGroupFile | undefined
  /** The virtual machine that was told of its file. */
  vm: object | undefined
  #container: Container | undefined
  /** 1 for the container itself, and one for each opened device. */
  #users = 0
  #joined: Joined | undefined
  #cdevOpens = 0
  #ended = false

  /** @param group of the IOMMU core; or the number of one that vfio makes, and its kind */
  constructor(group: Group | { readonly id: number; readonly kind: Exclude<GroupKind, 'iommu'> }) {
    this.id = group.id
    this.kind = 'kind' in group ? group.kind : 'iommu'
    this.iommu = 'kind' in group ? undefined : group
  }

  /** Its node below /dev/vfio. vfio_create_group */
  get node(): string {
    return `${this.kind === 'noiommu' ? 'noiommu-' : ''}${this.id}`
  }
  /** Its last device is gone: an open file is all that is left of it. */
  get ended(): boolean {
    return this.#ended
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

  /**
   * @throws UapiError EPERM when somebody else uses the DMA, without the privilege that no-IOMMU needs, or when the container's
   * groups are of the other kind; what the back end answers. Nothing has changed then
   */
  setContainer(caller: Caller, container: Container): void {
    if (this.kind === 'noiommu') mustBePrivileged(caller, 'VFIO_GROUP_SET_CONTAINER')
    container.add(caller, this)
    this.#container = container
    this.#users = 1
  }
  /** @throws UapiError EINVAL when no-IOMMU and IOMMU would meet, ENOMEM as the file answers */
  join(spaces: AddressSpaces, face: Required<AddressSpaces>['container']): void {
    this.#joined = { spaces, leave: face.join({ noIommu: this.kind === 'noiommu' }) }
  }
  /** @throws UapiError EINVAL without a container, EBUSY while devices use it */
  unsetContainer(): void {
    if (!this.hasIommu) throw new UapiError('EINVAL', 'VFIO_GROUP_UNSET_CONTAINER', { group: this.id })
    if (this.#container && this.#users > 1)
      throw new UapiError('EBUSY', 'VFIO_GROUP_UNSET_CONTAINER', { users: this.#users })
    this.leaveContainer()
  }
  /** The group's file is gone. */
  leaveContainer(): void {
    this.#detach()
    this.#joined?.leave()
    this.#joined = undefined
  }
  /** Its last device is gone. An address-space file that it joined stays joined until its own file is closed. vfio_device_remove_group */
  end(): void {
    this.#ended = true
    this.#detach()
  }

  /**
   * A device is opened through the container.
   * @param unmapped of an emulated device: told before a range goes of which pages are pinned
   * @throws UapiError EINVAL before VFIO_SET_IOMMU, EPERM without the privilege that no-IOMMU needs
   */
  useContainer(caller: Caller, unmapped?: (first: bigint, bytes: bigint) => void): ContainerUse {
    const container = this.#container
    if (!container?.chosen) throw new UapiError('EINVAL', 'vfio_group_use_container', { group: this.id })
    if (this.kind === 'noiommu') mustBePrivileged(caller, 'vfio_group_use_container')
    const file = this.file
    file?.hold()
    this.#users++
    const unregister = unmapped && container.pins?.register(unmapped)
    return {
      memory: containerMemory(this, () => container.pins),
      end: () => {
        unregister?.()
        this.#users--
        file?.drop()
      },
    }
  }
  #detach(): void {
    const container = this.#container
    this.#container = undefined
    this.#users = 0
    container?.remove(this)
  }
}

/** Memory without an IOMMU in front of it is open to who may touch registers anyway. @throws UapiError EPERM */
export function mustBePrivileged(caller: Caller, what: string): void {
  if (!caller.process.can('CAP_SYS_RAWIO')) throw new UapiError('EPERM', what, { capability: 'CAP_SYS_RAWIO' })
}
