/** VFIO_DEVICE_FEATURE and what its features carry; include/uapi/linux/vfio.h. */
import {
  choice,
  type CStruct,
  flags,
  type IoctlCall,
  ioctlCall,
  s32,
  struct,
  u32,
  u64,
  userPointer,
} from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** Bits of `vfio_device_feature.flags` that hold the feature's number. */
export const VFIO_DEVICE_FEATURE_MASK = 0xffff
/** Get it into, set it from the bytes after the struct; ask whether one could. */
export const VFIO_DEVICE_FEATURE_FLAG = { GET: 0x10000, SET: 0x20000, PROBE: 0x40000 } as const

/** Numbers of features. */
export const VFIO_FEATURE = {
  PCI_VF_TOKEN: 0,
  MIGRATION: 1,
  MIG_DEVICE_STATE: 2,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  DMA_LOGGING_START: 6,
  DMA_LOGGING_STOP: 7,
  DMA_LOGGING_REPORT: 8,
  MIG_DATA_SIZE: 9,
  BUS_MASTER: 10,
  DMA_BUF: 11,
  MIG_PRECOPY_INFOv2: 12,
} as const

/** `struct vfio_device_feature` without its `data`, which follows at byte 8. */
export interface VfioDeviceFeature {
  readonly argsz: number
  readonly flags: number
}
export const vfioDeviceFeature: CStruct<VfioDeviceFeature> = struct('vfio_device_feature', {
  argsz: u32,
  flags: flags(u32, VFIO_DEVICE_FEATURE_FLAG),
})
export const VFIO_DEVICE_FEATURE: IoctlCall<VfioDeviceFeature> = ioctlCall(
  'VFIO_DEVICE_FEATURE',
  vfioNumber(17),
  vfioDeviceFeature,
)

/** Flags of MIGRATION. */
export const VFIO_MIGRATION = { STOP_COPY: 1n, P2P: 2n, PRE_COPY: 4n } as const
/** MIGRATION. */
export interface VfioFeatureMigration {
  readonly flags: bigint
}
export const vfioFeatureMigration: CStruct<VfioFeatureMigration> = struct('vfio_device_feature_migration', {
  flags: u64,
})

/** `enum vfio_device_mig_state`. */
export const VFIO_DEVICE_STATE = {
  ERROR: 0,
  STOP: 1,
  RUNNING: 2,
  STOP_COPY: 3,
  RESUMING: 4,
  RUNNING_P2P: 5,
  PRE_COPY: 6,
  PRE_COPY_P2P: 7,
} as const
/** MIG_DEVICE_STATE. */
export interface VfioFeatureMigState {
  readonly device_state: number
  /** Out: where the device's data is read or written; -1: none. */
  readonly data_fd: number
}
export const vfioFeatureMigState: CStruct<VfioFeatureMigState> = struct('vfio_device_feature_mig_state', {
  device_state: choice(u32, VFIO_DEVICE_STATE),
  data_fd: s32,
})

/** LOW_POWER_ENTRY_WITH_WAKEUP. */
export interface VfioLowPowerWakeup {
  readonly wakeup_eventfd: number
  readonly reserved: number
}
export const vfioLowPowerWakeup: CStruct<VfioLowPowerWakeup> = struct('vfio_device_low_power_entry_with_wakeup', {
  wakeup_eventfd: s32,
  reserved: u32,
})

/** DMA_LOGGING_START. */
export interface VfioDmaLoggingControl {
  readonly page_size: bigint
  readonly num_ranges: number
  readonly __reserved: number
  /** uva of `num_ranges` times `vfio_device_feature_dma_logging_range`. */
  readonly ranges: bigint
}
export const vfioDmaLoggingControl: CStruct<VfioDmaLoggingControl> = struct('vfio_device_feature_dma_logging_control', {
  page_size: u64,
  num_ranges: u32,
  __reserved: u32,
  ranges: userPointer('num_ranges', 'in', 16),
})
/** `struct vfio_device_feature_dma_logging_range`. */
export interface VfioDmaLoggingRange {
  readonly iova: bigint
  readonly length: bigint
}
export const vfioDmaLoggingRange: CStruct<VfioDmaLoggingRange> = struct('vfio_device_feature_dma_logging_range', {
  iova: u64,
  length: u64,
})
/** DMA_LOGGING_REPORT. */
export interface VfioDmaLoggingReport {
  readonly iova: bigint
  readonly length: bigint
  readonly page_size: bigint
  /** uva of one bit for each page. */
  readonly bitmap: bigint
}
export const vfioDmaLoggingReport: CStruct<VfioDmaLoggingReport> = struct('vfio_device_feature_dma_logging_report', {
  iova: u64,
  length: u64,
  page_size: u64,
  bitmap: u64,
})

/** MIG_DATA_SIZE. */
export interface VfioMigDataSize {
  readonly stop_copy_length: bigint
}
export const vfioMigDataSize: CStruct<VfioMigDataSize> = struct('vfio_device_feature_mig_data_size', {
  stop_copy_length: u64,
})

/** BUS_MASTER. */
export interface VfioFeatureBusMaster {
  /** 0: clear, 1: set. */
  readonly op: number
}
export const vfioFeatureBusMaster: CStruct<VfioFeatureBusMaster> = struct('vfio_device_feature_bus_master', {
  op: choice(u32, { CLEAR_MASTER: 0, SET_MASTER: 1 }),
})

/** DMA_BUF: this, then `nr_ranges` times `vfio_region_dma_range`. */
export interface VfioFeatureDmaBuf {
  readonly region_index: number
  readonly open_flags: number
  readonly flags: number
  readonly nr_ranges: number
}
export const vfioFeatureDmaBuf: CStruct<VfioFeatureDmaBuf> = struct('vfio_device_feature_dma_buf', {
  region_index: u32,
  open_flags: u32,
  flags: u32,
  nr_ranges: u32,
})
/** `struct vfio_region_dma_range`. */
export interface VfioRegionDmaRange {
  readonly offset: bigint
  readonly length: bigint
}
export const vfioRegionDmaRange: CStruct<VfioRegionDmaRange> = struct('vfio_region_dma_range', {
  offset: u64,
  length: u64,
})

/** `struct vfio_precopy_info`, of the migration data file. */
export interface VfioPrecopyInfo {
  readonly argsz: number
  readonly flags: number
  readonly initial_bytes: bigint
  readonly dirty_bytes: bigint
}
export const vfioPrecopyInfo: CStruct<VfioPrecopyInfo> = struct('vfio_precopy_info', {
  argsz: u32,
  flags: flags(u32, { REINIT: 1 }),
  initial_bytes: u64,
  dirty_bytes: u64,
})
export const VFIO_MIG_GET_PRECOPY_INFO: IoctlCall<VfioPrecopyInfo> = ioctlCall(
  'VFIO_MIG_GET_PRECOPY_INFO',
  vfioNumber(21),
  vfioPrecopyInfo,
)
