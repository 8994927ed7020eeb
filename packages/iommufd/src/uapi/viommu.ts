/** Calls of virtual IOMMUs: include/uapi/linux/iommufd.h. */
import { type CStruct, flags, type IoctlCall, struct, u32, u64, userPointer } from '@ioasis/core'
import { iommufdCall } from './number.ts'

/** `struct iommu_viommu_alloc`. */
export interface IommuViommuAlloc {
  readonly size: number
  readonly flags: number
  readonly type: number
  readonly dev_id: number
  readonly hwpt_id: number
  readonly out_viommu_id: number
  /** Bytes. */
  readonly data_len: number
  readonly __reserved: number
  readonly data_uptr: bigint
}
const iommuViommuAlloc: CStruct<IommuViommuAlloc> = struct('iommu_viommu_alloc', {
  size: u32,
  flags: u32,
  type: u32,
  dev_id: u32,
  hwpt_id: u32,
  out_viommu_id: u32,
  data_len: u32,
  __reserved: u32,
  data_uptr: userPointer('data_len', 'inout'),
})
export const IOMMU_VIOMMU_ALLOC: IoctlCall<IommuViommuAlloc> = iommufdCall(
  'IOMMU_VIOMMU_ALLOC',
  0x90,
  iommuViommuAlloc,
  'out_viommu_id',
)

/** `struct iommu_vdevice_alloc`. */
export interface IommuVdeviceAlloc {
  readonly size: number
  readonly viommu_id: number
  readonly dev_id: number
  readonly out_vdevice_id: number
  readonly virt_id: bigint
}
const iommuVdeviceAlloc: CStruct<IommuVdeviceAlloc> = struct('iommu_vdevice_alloc', {
  size: u32,
  viommu_id: u32,
  dev_id: u32,
  out_vdevice_id: u32,
  virt_id: u64,
})
export const IOMMU_VDEVICE_ALLOC: IoctlCall<IommuVdeviceAlloc> = iommufdCall(
  'IOMMU_VDEVICE_ALLOC',
  0x91,
  iommuVdeviceAlloc,
  'virt_id',
)

/** `struct iommu_veventq_alloc`. */
export interface IommuVeventqAlloc {
  readonly size: number
  readonly flags: number
  readonly viommu_id: number
  readonly type: number
  /** Events. */
  readonly veventq_depth: number
  readonly out_veventq_id: number
  readonly out_veventq_fd: number
  readonly __reserved: number
}
const iommuVeventqAlloc: CStruct<IommuVeventqAlloc> = struct('iommu_veventq_alloc', {
  size: u32,
  flags: u32,
  viommu_id: u32,
  type: u32,
  veventq_depth: u32,
  out_veventq_id: u32,
  out_veventq_fd: u32,
  __reserved: u32,
})
export const IOMMU_VEVENTQ_ALLOC: IoctlCall<IommuVeventqAlloc> = iommufdCall(
  'IOMMU_VEVENTQ_ALLOC',
  0x93,
  iommuVeventqAlloc,
  'out_veventq_fd',
)

/** `struct iommu_hw_queue_alloc`. */
export interface IommuHwQueueAlloc {
  readonly size: number
  readonly flags: number
  readonly viommu_id: number
  readonly type: number
  readonly index: number
  readonly out_hw_queue_id: number
  readonly nesting_parent_iova: bigint
  /** Bytes. */
  readonly length: bigint
}
const iommuHwQueueAlloc: CStruct<IommuHwQueueAlloc> = struct('iommu_hw_queue_alloc', {
  size: u32,
  flags: u32,
  viommu_id: u32,
  type: u32,
  index: u32,
  out_hw_queue_id: u32,
  nesting_parent_iova: u64,
  length: u64,
})
export const IOMMU_HW_QUEUE_ALLOC: IoctlCall<IommuHwQueueAlloc> = iommufdCall(
  'IOMMU_HW_QUEUE_ALLOC',
  0x94,
  iommuHwQueueAlloc,
  'length',
)

/** `flags` of an event's header. */
export const VEVENT_FLAG = { LOST_EVENTS: 1 } as const

/** `struct iommufd_vevent_header`. */
export interface IommufdVeventHeader {
  readonly flags: number
  /** Number of the event, 0 to 2^31 - 1, and again 0. */
  readonly sequence: number
}
/** What an event queue's read returns before each event's data. */
export const VEVENT_HEADER: CStruct<IommufdVeventHeader> = struct('iommufd_vevent_header', {
  flags: flags(u32, VEVENT_FLAG),
  sequence: u32,
})
