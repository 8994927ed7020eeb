/**
 * Ioctls of a container with a SPAPR back end (POWER); include/uapi/linux/vfio.h. Mapping and unmapping use type1's structs:
 * VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA.
 */
import { choice, type CStruct, flags, type IoctlCall, ioctlCall, struct, u32, u64 } from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** Flags of `vfio_iommu_spapr_tce_info`. */
export const VFIO_IOMMU_SPAPR_INFO = { DDW: 1 } as const

/** `struct vfio_iommu_spapr_tce_ddw_info`. */
export interface VfioIommuSpaprTceDdwInfo {
  /** Bit n set: windows with pages of 2^n bytes. */
  readonly pgsizes: bigint
  readonly max_dynamic_windows_supported: number
  /** Most levels a table may have. */
  readonly levels: number
}
export const vfioIommuSpaprTceDdwInfo: CStruct<VfioIommuSpaprTceDdwInfo> = struct('vfio_iommu_spapr_tce_ddw_info', {
  pgsizes: u64,
  max_dynamic_windows_supported: u32,
  levels: u32,
})
/** `struct vfio_iommu_spapr_tce_info`; `ddw` is written when argsz reaches its end. */
export interface VfioIommuSpaprTceInfo {
  readonly argsz: number
  readonly flags: number
  /** iova of the preset window. */
  readonly dma32_window_start: number
  /** Bytes of the preset window. */
  readonly dma32_window_size: number
  readonly ddw: VfioIommuSpaprTceDdwInfo
}
export const vfioIommuSpaprTceInfo: CStruct<VfioIommuSpaprTceInfo> = struct('vfio_iommu_spapr_tce_info', {
  argsz: u32,
  flags: flags(u32, VFIO_IOMMU_SPAPR_INFO),
  dma32_window_start: u32,
  dma32_window_size: u32,
  ddw: vfioIommuSpaprTceDdwInfo,
})
export const VFIO_IOMMU_SPAPR_TCE_GET_INFO: IoctlCall<VfioIommuSpaprTceInfo> = ioctlCall(
  'VFIO_IOMMU_SPAPR_TCE_GET_INFO',
  vfioNumber(12),
  vfioIommuSpaprTceInfo,
  16,
)

/** `struct vfio_iommu_spapr_register_memory`, for registering and unregistering. */
export interface VfioIommuSpaprRegisterMemory {
  readonly argsz: number
  readonly flags: number
  /** uva. */
  readonly vaddr: bigint
  /** Bytes. */
  readonly size: bigint
}
export const vfioIommuSpaprRegisterMemory: CStruct<VfioIommuSpaprRegisterMemory> = struct(
  'vfio_iommu_spapr_register_memory',
  { argsz: u32, flags: u32, vaddr: u64, size: u64 },
)
export const VFIO_IOMMU_SPAPR_REGISTER_MEMORY: IoctlCall<VfioIommuSpaprRegisterMemory> = ioctlCall(
  'VFIO_IOMMU_SPAPR_REGISTER_MEMORY',
  vfioNumber(17),
  vfioIommuSpaprRegisterMemory,
)
export const VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY: IoctlCall<VfioIommuSpaprRegisterMemory> = ioctlCall(
  'VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY',
  vfioNumber(18),
  vfioIommuSpaprRegisterMemory,
)

/** `struct vfio_iommu_spapr_tce_create`. */
export interface VfioIommuSpaprTceCreate {
  readonly argsz: number
  readonly flags: number
  /** log2 of the bytes that one TCE maps. */
  readonly page_shift: number
  readonly __resv1: number
  /** Bytes. */
  readonly window_size: bigint
  readonly levels: number
  readonly __resv2: number
  /** Out: iova of the window. */
  readonly start_addr: bigint
}
export const vfioIommuSpaprTceCreate: CStruct<VfioIommuSpaprTceCreate> = struct('vfio_iommu_spapr_tce_create', {
  argsz: u32,
  flags: u32,
  page_shift: u32,
  __resv1: u32,
  window_size: u64,
  levels: u32,
  __resv2: u32,
  start_addr: u64,
})
export const VFIO_IOMMU_SPAPR_TCE_CREATE: IoctlCall<VfioIommuSpaprTceCreate> = ioctlCall(
  'VFIO_IOMMU_SPAPR_TCE_CREATE',
  vfioNumber(19),
  vfioIommuSpaprTceCreate,
)

/** `struct vfio_iommu_spapr_tce_remove`. */
export interface VfioIommuSpaprTceRemove {
  readonly argsz: number
  readonly flags: number
  /** An iova in the window. */
  readonly start_addr: bigint
}
export const vfioIommuSpaprTceRemove: CStruct<VfioIommuSpaprTceRemove> = struct('vfio_iommu_spapr_tce_remove', {
  argsz: u32,
  flags: u32,
  start_addr: u64,
})
export const VFIO_IOMMU_SPAPR_TCE_REMOVE: IoctlCall<VfioIommuSpaprTceRemove> = ioctlCall(
  'VFIO_IOMMU_SPAPR_TCE_REMOVE',
  vfioNumber(20),
  vfioIommuSpaprTceRemove,
)

/** `op` of `vfio_eeh_pe_op`. */
export const VFIO_EEH_PE = {
  DISABLE: 0,
  ENABLE: 1,
  UNFREEZE_IO: 2,
  UNFREEZE_DMA: 3,
  GET_STATE: 4,
  RESET_DEACTIVATE: 5,
  RESET_HOT: 6,
  RESET_FUNDAMENTAL: 7,
  CONFIGURE: 8,
  INJECT_ERR: 9,
} as const
/** What GET_STATE returns. */
export const VFIO_EEH_PE_STATE = { NORMAL: 0, RESET: 1, STOPPED: 2, STOPPED_DMA: 4, UNAVAIL: 5 } as const

/** `struct vfio_eeh_pe_err`. */
export interface VfioEehPeErr {
  readonly type: number
  readonly func: number
  readonly addr: bigint
  readonly mask: bigint
}
export const vfioEehPeErr: CStruct<VfioEehPeErr> = struct('vfio_eeh_pe_err', {
  type: u32,
  func: u32,
  addr: u64,
  mask: u64,
})
/** `struct vfio_eeh_pe_op`; `err` is read for INJECT_ERR alone. */
export interface VfioEehPeOp {
  readonly argsz: number
  readonly flags: number
  readonly op: number
  readonly err: VfioEehPeErr
}
export const vfioEehPeOp: CStruct<VfioEehPeOp> = struct('vfio_eeh_pe_op', {
  argsz: u32,
  flags: u32,
  op: choice(u32, VFIO_EEH_PE),
  err: vfioEehPeErr,
})
export const VFIO_EEH_PE_OP: IoctlCall<VfioEehPeOp> = ioctlCall('VFIO_EEH_PE_OP', vfioNumber(21), vfioEehPeOp, 12)
