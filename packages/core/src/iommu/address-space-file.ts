/** The file a user passes to VFIO that stands for an I/O address space: iommufd's context, or a rival's. VFIO knows only this. */
import type { Iova, Pasid } from '../address.ts'
import type { FileOps } from '../file/file-ops.ts'
import type { PciFunction } from '../pci/function.ts'
import type { Caller } from '../process/process.ts'
import type { IommuDevice } from './driver.ts'
import type { Group } from './group.ts'

/** Marks a `FileOps` that can hold devices; vfio asks the file behind the descriptor for it. */
export interface AddressSpaceFile extends FileOps {
  readonly addressSpaces: AddressSpaces
}

/** What VFIO asks of such a file. Whoever is bound or has joined keeps what stands behind the file alive after its last close. */
export interface AddressSpaces {
  /**
   * Binds a device: takes the ownership of its group's DMA.
   * @throws UapiError EPERM when somebody else owns the group
   */
  bindDevice(fn: PciFunction, device: IommuDevice): BoundDevice
  /** Binds an emulated device: it reaches memory through the address space, without an IOMMU. */
  bindAccess(user: AccessUser): BoundAccess
  /** Whether a device of the group is bound here: its other members cannot then be anybody else's. */
  owns(group: Group): boolean
  /** The container face: a VFIO group may take the file as its container, whose ioctls the file itself answers. Absent: it cannot. */
  readonly container?: {
    /**
     * A group takes the file as its container (VFIO_GROUP_SET_CONTAINER): there is an address space for the container's calls
     * from now on, made if none was chosen. For a no-IOMMU group there must be none, and none is made.
     * @returns the group leaves
     * @throws UapiError EINVAL for a no-IOMMU group when there is one; ENOMEM
     */
    join(how: { readonly noIommu: boolean }): () => void
    /** Id of the address space the container's calls act on. @throws UapiError ENODEV when there is none */
    ioas(): number
  }
}

/** A device bound to an address-space file, until `unbind`. */
export interface BoundDevice {
  /** Object id in the file's id space; u32. */
  readonly id: number
  /**
   * Attaches to the object `target` names (an IOAS or a HWPT); attached already means: replace.
   * @returns the id of what it is attached to in the end
   * @throws UapiError ENOENT, EINVAL, EBUSY, ENOMEM as the file answers
   */
  attach(target: number, pasid?: Pasid): number
  detach(pasid?: Pasid): void
  unbind(): void
}

/** What an emulated device offers to the address space. */
export interface AccessUser {
  readonly name: string
  /** The range goes away: let go of every pin in it before returning. */
  unmapped(first: Iova, bytes: bigint): void
  /** It needs pins (true), or only copies. */
  readonly needsPins: boolean
}

/** How an emulated device copies. */
export interface CopyHow {
  readonly write: boolean
  /** Through pinned pages also where the caller's own address space would do. Default false. */
  readonly slow?: boolean
}

/** An emulated device bound to an address-space file. */
export interface BoundAccess {
  readonly id: number
  attach(target: number): number
  detach(): void
  /** @returns bytes copied; throws UapiError ENOENT where nothing is mapped, EPERM without the right */
  copy(caller: Caller, iova: Iova, bytes: Uint8Array, how: CopyHow): number
  /** Keeps the pages of a range until `unpin`. */
  pin(
    iova: Iova,
    bytes: bigint,
    how: { readonly write: boolean },
  ): readonly { readonly hpa: number; readonly bytes: number }[]
  unpin(iova: Iova, bytes: bigint): void
  unbind(): void
}
