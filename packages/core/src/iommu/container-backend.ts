/** What stands behind a VFIO container once VFIO_SET_IOMMU chose a type: type1, SPAPR v1 and v2, or one brought by a plug-in. */
import { type Token, tokens } from '../plugin/token.ts'
import type { Caller } from '../process/process.ts'
import type { Group } from './group.ts'

/** A kind of back end. */
export interface ContainerBackend {
  readonly name: string
  /** Extension numbers VFIO_CHECK_EXTENSION affirms before one is chosen; VFIO_SET_IOMMU tries the back ends that name its type. */
  readonly extensions: readonly number[]
  /** Containers of no-IOMMU groups use this back end and no other, and no other containers use it. Absent: false. */
  readonly noIommu?: boolean
  /** @param type the number VFIO_SET_IOMMU asked for @throws UapiError EINVAL for an extension that is no type, EPERM, ENOMEM */
  open(caller: Caller, type: number): ContainerSession
}
/** The back ends of this host, in the order Linux would try them. */
export const ContainerBackend: Token<ContainerBackend> = tokens('ContainerBackend')

/** A group in a container. */
export interface ContainerMember {
  readonly id: number
  /** Its IOMMU group; undefined: the group of an emulated device, or a no-IOMMU group. */
  readonly iommu: Group | undefined
}

/** What emulated devices ask of a container; `VfioMemory` says what each answers. */
export interface ContainerPins {
  /**
   * A device is opened.
   * @param unmapped told before a range goes of which pages are pinned: it lets go of them
   * @returns the device is closed
   */
  register(unmapped: (first: bigint, bytes: bigint) => void): () => void
  pin(member: ContainerMember, iova: bigint, pages: number, how: { readonly write: boolean }): Float64Array
  unpin(iova: bigint, pages: number): void
  copy(caller: Caller, iova: bigint, bytes: Uint8Array, how: { readonly write: boolean }): void
}

/** One container's back end. */
export interface ContainerSession {
  /** @returns the answer of VFIO_CHECK_EXTENSION */
  checkExtension(extension: number): number
  /** Ioctls beyond the container's own. @throws UapiError ENOTTY for one it does not know */
  ioctl(caller: Caller, number: number, arg: bigint): number
  /**
   * A group joins.
   * @param caller who joined it: memory that was mapped and not pinned yet is his
   * @throws UapiError what VFIO_SET_IOMMU or VFIO_GROUP_SET_CONTAINER answers; nothing has changed then
   */
  attach(member: ContainerMember, caller: Caller): void
  detach(member: ContainerMember): void
  /** Memory for emulated devices. Absent: they can join, and reach none (ENOTTY). */
  readonly pins?: ContainerPins
  /** The container is gone: unmap, unpin, give back what was charged. */
  close(): void
}
