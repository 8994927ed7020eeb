/** Calls of domains and devices: include/uapi/linux/iommufd.h. */
import { bytes, type CStruct, flags, type IoctlCall, struct, u32, u64, u8, userPointer } from '@ioasis/core'
import { iommufdCall } from './number.ts'

/** Flags of HWPT_ALLOC. */
export const HWPT_FLAG = { NEST_PARENT: 1, DIRTY_TRACKING: 2, FAULT_ID_VALID: 4, PASID: 8 } as const
/** `data_type` of HWPT_ALLOC without data. */
export const HWPT_DATA_NONE = 0

/** `struct iommu_hwpt_alloc`. */
export interface IommuHwptAlloc {
  readonly size: number
  readonly flags: number
  readonly dev_id: number
  /** An IOAS, or a parent. */
  readonly pt_id: number
  readonly out_hwpt_id: number
  readonly __reserved: number
  readonly data_type: number
  /** Bytes. */
  readonly data_len: number
  readonly data_uptr: bigint
  readonly fault_id: number
  readonly __reserved2: number
}
const iommuHwptAlloc: CStruct<IommuHwptAlloc> = struct('iommu_hwpt_alloc', {
  size: u32,
  flags: flags(u32, HWPT_FLAG),
  dev_id: u32,
  pt_id: u32,
  out_hwpt_id: u32,
  __reserved: u32,
  data_type: u32,
  data_len: u32,
  data_uptr: userPointer('data_len', 'in'),
  fault_id: u32,
  __reserved2: u32,
})
/** Its minimum ends at `__reserved`: data and fault queue came later. */
export const IOMMU_HWPT_ALLOC: IoctlCall<IommuHwptAlloc> = iommufdCall(
  'IOMMU_HWPT_ALLOC',
  0x89,
  iommuHwptAlloc,
  '__reserved',
)

/** `flags` of GET_HW_INFO. */
export const HW_INFO_FLAG = { INPUT_TYPE: 1 } as const
/** `out_capabilities` of GET_HW_INFO. */
export const HW_CAP = { DIRTY_TRACKING: 1n, PCI_PASID_EXEC: 2n, PCI_PASID_PRIV: 4n, PCI_ATS_NOT_SUPPORTED: 8n } as const
/** `out_data_type` where the driver tells nothing; as an input: whatever it has. */
export const HW_INFO_TYPE_NONE = 0

/** `struct iommu_hw_info`. */
export interface IommuHwInfo {
  readonly size: number
  readonly flags: number
  readonly dev_id: number
  /** Bytes. In: room. Out: what there is. */
  readonly data_len: number
  readonly data_uptr: bigint
  /** A union: `in_data_type` on the way in, `out_data_type` on the way out. */
  readonly data_type: number
  readonly out_max_pasid_log2: number
  readonly __reserved: Uint8Array
  readonly out_capabilities: bigint
}
const iommuHwInfo: CStruct<IommuHwInfo> = struct('iommu_hw_info', {
  size: u32,
  flags: flags(u32, HW_INFO_FLAG),
  dev_id: u32,
  data_len: u32,
  data_uptr: userPointer('data_len', 'out'),
  data_type: u32,
  out_max_pasid_log2: u8,
  __reserved: bytes(3),
  out_capabilities: u64,
})
export const IOMMU_GET_HW_INFO: IoctlCall<IommuHwInfo> = iommufdCall(
  'IOMMU_GET_HW_INFO',
  0x8a,
  iommuHwInfo,
  '__reserved',
)

/** Flag of SET_DIRTY_TRACKING. */
export const SET_DIRTY_FLAG = { ENABLE: 1 } as const
/** Flag of GET_DIRTY_BITMAP. */
export const GET_DIRTY_FLAG = { NO_CLEAR: 1 } as const

/** `struct iommu_hwpt_set_dirty_tracking`. */
export interface IommuHwptSetDirtyTracking {
  readonly size: number
  readonly flags: number
  readonly hwpt_id: number
  readonly __reserved: number
}
const iommuHwptSetDirtyTracking: CStruct<IommuHwptSetDirtyTracking> = struct('iommu_hwpt_set_dirty_tracking', {
  size: u32,
  flags: flags(u32, SET_DIRTY_FLAG),
  hwpt_id: u32,
  __reserved: u32,
})
export const IOMMU_HWPT_SET_DIRTY_TRACKING: IoctlCall<IommuHwptSetDirtyTracking> = iommufdCall(
  'IOMMU_HWPT_SET_DIRTY_TRACKING',
  0x8b,
  iommuHwptSetDirtyTracking,
  '__reserved',
)

/** `struct iommu_hwpt_get_dirty_bitmap`. */
export interface IommuHwptGetDirtyBitmap {
  readonly size: number
  readonly hwpt_id: number
  readonly flags: number
  readonly __reserved: number
  readonly iova: bigint
  /** Bytes. */
  readonly length: bigint
  /** Bytes that one bit stands for. */
  readonly page_size: bigint
  /** uva of the bitmap. */
  readonly data: bigint
}
const iommuHwptGetDirtyBitmap: CStruct<IommuHwptGetDirtyBitmap> = struct('iommu_hwpt_get_dirty_bitmap', {
  size: u32,
  hwpt_id: u32,
  flags: flags(u32, GET_DIRTY_FLAG),
  __reserved: u32,
  iova: u64,
  length: u64,
  page_size: u64,
  data: u64,
})
export const IOMMU_HWPT_GET_DIRTY_BITMAP: IoctlCall<IommuHwptGetDirtyBitmap> = iommufdCall(
  'IOMMU_HWPT_GET_DIRTY_BITMAP',
  0x8c,
  iommuHwptGetDirtyBitmap,
  'data',
)

/** `struct iommu_hwpt_invalidate`. */
export interface IommuHwptInvalidate {
  readonly size: number
  readonly hwpt_id: number
  readonly data_uptr: bigint
  readonly data_type: number
  /** Bytes of one entry. */
  readonly entry_len: number
  /** In: entries. Out: those that were done. */
  readonly entry_num: number
  readonly __reserved: number
}
const iommuHwptInvalidate: CStruct<IommuHwptInvalidate> = struct('iommu_hwpt_invalidate', {
  size: u32,
  hwpt_id: u32,
  data_uptr: u64,
  data_type: u32,
  entry_len: u32,
  entry_num: u32,
  __reserved: u32,
})
export const IOMMU_HWPT_INVALIDATE: IoctlCall<IommuHwptInvalidate> = iommufdCall(
  'IOMMU_HWPT_INVALIDATE',
  0x8d,
  iommuHwptInvalidate,
  '__reserved',
)
