/**
 * A slice of an IOMMU that one guest has: what its driver offers, and what the file that keeps it offers to the driver.
 * Facts: include/linux/iommufd.h struct iommufd_viommu_ops and the helpers below it.
 */
import type { Bdf, Hpa, Iova } from '../address.ts'
import type { Mapping } from '../file/file-ops.ts'
import type { PciFunction } from '../pci/function.ts'
import type { NestedDomain, NestingFlags, PagingDomain } from './domain.ts'
import type { UserData, UserDataArray } from './user-data.ts'

/** Offered by a device whose IOMMU can be sliced (ops->get_viommu_size, viommu_init). */
export interface ViommuSupport {
  /** Whether slices of that type can be made. */
  has(type: number): boolean
  /**
   * Makes one.
   * @param frame what the slice may ask of the file that keeps it; valid from now until `destroy`
   * @param parent the guest's memory: a domain made with `nestParent`
   * @param data absent: none was passed. The answer is written back through it
   * @throws UapiError what the driver refuses with; nothing is left then
   */
  alloc(frame: ViommuFrame, parent: PagingDomain, data: UserData | undefined): Viommu
}

/** One slice, as its driver made it. An absent member: the call that needs it is EOPNOTSUPP. */
export interface Viommu {
  /** A first stage that the guest wrote, on the slice's parent. @throws UapiError as the driver refuses */
  allocNested?(data: UserData, flags: NestingFlags): NestedDomain
  /** Runs invalidations that the guest asked for, and counts them in `entries.done`. @throws UapiError at the first refused one */
  invalidate?(entries: UserDataArray): void
  /** A device got an id in the guest. Absent: nothing is to be done. @returns undoes it @throws UapiError to refuse */
  deviceAdded?(device: VirtualDevice): (() => void) | undefined
  /** Queues in guest memory that hardware reads by host address. */
  readonly hwQueues?: {
    has(type: number): boolean
    /** @param baseHpa host address of the queue's first byte; its pages lie together and are pinned @throws UapiError to refuse */
    init(queue: HwQueue, index: number, baseHpa: Hpa): HwQueueHooks
  }
  /** It is gone; nothing hangs on it any more. */
  destroy(): void
}

/** What an initialised queue is told. */
export interface HwQueueHooks {
  destroy(): void
}

/** A device behind the hardware that is sliced: one that the slice's driver probed, and knows again. */
export interface ViommuDevice {
  /** Undefined: it sits on another bus. */
  readonly fn: PciFunction | undefined
  /** All ids its requests can carry. */
  readonly requesterIds: readonly Bdf[]
}

/** A device with its name in a guest. */
export interface VirtualDevice {
  readonly device: ViommuDevice
  /** u64: a requester id, a stream id; the driver's uAPI says what. */
  readonly virtId: bigint
}

/** A queue in guest memory. */
export interface HwQueue {
  readonly type: number
  /** iova in the parent. */
  readonly base: Iova
  readonly bytes: bigint
  /** It needs `other` of the same slice: that one cannot be destroyed before (iommufd_hw_queue_depend). @throws UapiError EINVAL for itself */
  depend(other: HwQueue): void
  /** It does not any more. */
  undepend(other: HwQueue): void
}

/** What a slice's driver asks of the file that keeps it. */
export interface ViommuFrame {
  readonly type: number
  /**
   * Offers something to be mapped through the file (iommufd_viommu_alloc_mmap).
   * @param bytes a multiple of the page size
   * @returns the offset mmap(2) must name, exactly, with exactly these bytes
   * @throws UapiError EINVAL for bytes that are no whole pages
   */
  allocMmap(target: Mapping, bytes: number): bigint
  /** Takes it back. @throws Error for an offset that was not given */
  destroyMmap(offset: bigint): void
  /**
   * Tells user space of an event, or that events were lost (iommufd_viommu_report_event).
   * @param type of the event queue
   * @throws UapiError EOPNOTSUPP when there is no queue of that type; EINVAL for no bytes
   */
  report(type: number, event: Uint8Array): void
  /** The device with that id in the guest (iommufd_viommu_find_dev). */
  deviceOf(virtId: bigint): ViommuDevice | undefined
  /** The id of a device in the guest (iommufd_viommu_get_vdev_id); undefined: it has none. */
  virtIdOf(device: ViommuDevice): bigint | undefined
}
