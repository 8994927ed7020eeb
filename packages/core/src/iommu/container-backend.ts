/** What stands behind a VFIO container once VFIO_SET_IOMMU chose a type: type1, SPAPR v1 and v2, or one brought by a plug-in. */
import { type Token, tokens } from '../plugin/token.ts'
import type { Caller } from '../process/process.ts'
import type { Group } from './group.ts'

/** A kind of back end. */
export interface ContainerBackend {
  readonly name: string
  /** Extension numbers VFIO_CHECK_EXTENSION answers before a group is in (VFIO_TYPE1v2_IOMMU); the set one is chosen by. */
  readonly types: readonly number[]
  /** Whether the back end serves these groups: their devices have paging domains (type1) or windows (SPAPR). */
  serves(groups: readonly Group[]): boolean
  /** @param type the number VFIO_SET_IOMMU asked for */
  open(caller: Caller, type: number): ContainerSession
}
/** The back ends of this host, in the order Linux would try them. */
export const ContainerBackend: Token<ContainerBackend> = tokens('ContainerBackend')

/** One container's back end. */
export interface ContainerSession {
  /** @returns the answer of VFIO_CHECK_EXTENSION */
  checkExtension(extension: number): number
  /** Ioctls beyond the container's own. @throws UapiError ENOTTY for one it does not know */
  ioctl(caller: Caller, number: number, arg: bigint): number
  /** A group joins. @throws UapiError what VFIO_SET_IOMMU or VFIO_GROUP_SET_CONTAINER answers; nothing has changed then */
  attach(group: Group): void
  detach(group: Group): void
  /** Pages for emulated devices. Absent: they cannot join. */
  readonly pins?: {
    pin(first: bigint, pages: number, write: boolean): Float64Array
    unpin(first: bigint, pages: number): void
    /** @param unmapped told before a range goes */
    notify(unmapped: (first: bigint, bytes: bigint) => void): () => void
  }
  /** The container is gone: unmap, unpin, give back what was charged. */
  close(): void
}
