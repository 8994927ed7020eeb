/** Ioctls of a device file that every kind of device answers; include/uapi/linux/vfio.h. */
import { type CStruct, flags, type IoctlCall, ioctlCall, s32, struct, u32, u64 } from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** Flags of `vfio_device_info`. */
export const VFIO_DEVICE_FLAGS = {
  RESET: 0x1,
  PCI: 0x2,
  PLATFORM: 0x4,
  AMBA: 0x8,
  CCW: 0x10,
  AP: 0x20,
  FSL_MC: 0x40,
  CAPS: 0x80,
  CDX: 0x100,
} as const

/** `struct vfio_device_info`. */
export interface VfioDeviceInfo {
  readonly argsz: number
  readonly flags: number
  /** Highest region index + 1. */
  readonly num_regions: number
  /** Highest interrupt index + 1. */
  readonly num_irqs: number
  /** Offset of the first capability from the start of the struct; 0: none. */
  readonly cap_offset: number
  readonly pad: number
}
export const vfioDeviceInfo: CStruct<VfioDeviceInfo> = struct('vfio_device_info', {
  argsz: u32,
  flags: flags(u32, VFIO_DEVICE_FLAGS),
  num_regions: u32,
  num_irqs: u32,
  cap_offset: u32,
  pad: u32,
})
export const VFIO_DEVICE_GET_INFO: IoctlCall<VfioDeviceInfo> = ioctlCall(
  'VFIO_DEVICE_GET_INFO',
  vfioNumber(7),
  vfioDeviceInfo,
  16,
)

/** Ids of capabilities behind `vfio_device_info`. */
export const VFIO_DEVICE_INFO_CAP = {
  ZPCI_BASE: 1,
  ZPCI_GROUP: 2,
  ZPCI_UTIL: 3,
  ZPCI_PFIP: 4,
  PCI_ATOMIC_COMP: 5,
} as const
/** Flags in the body of PCI_ATOMIC_COMP: `{ u32 flags, u32 reserved }`. */
export const VFIO_PCI_ATOMIC = { COMP32: 1, COMP64: 2, COMP128: 4 } as const

/** Flags of `vfio_region_info`. */
export const VFIO_REGION_INFO_FLAG = { READ: 1, WRITE: 2, MMAP: 4, CAPS: 8 } as const

/** `struct vfio_region_info`. */
export interface VfioRegionInfo {
  readonly argsz: number
  readonly flags: number
  readonly index: number
  readonly cap_offset: number
  /** Bytes. */
  readonly size: bigint
  /** Where the region begins in the device file. */
  readonly offset: bigint
}
export const vfioRegionInfo: CStruct<VfioRegionInfo> = struct('vfio_region_info', {
  argsz: u32,
  flags: flags(u32, VFIO_REGION_INFO_FLAG),
  index: u32,
  cap_offset: u32,
  size: u64,
  offset: u64,
})
export const VFIO_DEVICE_GET_REGION_INFO: IoctlCall<VfioRegionInfo> = ioctlCall(
  'VFIO_DEVICE_GET_REGION_INFO',
  vfioNumber(8),
  vfioRegionInfo,
)

/** Flags of `vfio_irq_info`. */
export const VFIO_IRQ_INFO = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 } as const

/** `struct vfio_irq_info`. */
export interface VfioIrqInfo {
  readonly argsz: number
  readonly flags: number
  readonly index: number
  /** Interrupts of this index. */
  readonly count: number
}
export const vfioIrqInfo: CStruct<VfioIrqInfo> = struct('vfio_irq_info', {
  argsz: u32,
  flags: flags(u32, VFIO_IRQ_INFO),
  index: u32,
  count: u32,
})
export const VFIO_DEVICE_GET_IRQ_INFO: IoctlCall<VfioIrqInfo> = ioctlCall(
  'VFIO_DEVICE_GET_IRQ_INFO',
  vfioNumber(9),
  vfioIrqInfo,
)

/** Flags of `vfio_irq_set`: one kind of data, one action. */
export const VFIO_IRQ_SET = {
  DATA_NONE: 0x1,
  /** `u8` for each interrupt. */
  DATA_BOOL: 0x2,
  /** `s32` descriptor for each interrupt, -1: take it away. */
  DATA_EVENTFD: 0x4,
  ACTION_MASK: 0x8,
  ACTION_UNMASK: 0x10,
  ACTION_TRIGGER: 0x20,
} as const
export const VFIO_IRQ_SET_DATA_TYPE_MASK = 0x7
export const VFIO_IRQ_SET_ACTION_TYPE_MASK = 0x38

/** `struct vfio_irq_set` without its `data`, which follows at byte 20. */
export interface VfioIrqSet {
  readonly argsz: number
  readonly flags: number
  readonly index: number
  readonly start: number
  readonly count: number
}
export const vfioIrqSet: CStruct<VfioIrqSet> = struct('vfio_irq_set', {
  argsz: u32,
  flags: flags(u32, VFIO_IRQ_SET),
  index: u32,
  start: u32,
  count: u32,
})
export const VFIO_DEVICE_SET_IRQS: IoctlCall<VfioIrqSet> = ioctlCall('VFIO_DEVICE_SET_IRQS', vfioNumber(10), vfioIrqSet)

export const VFIO_DEVICE_RESET: IoctlCall<never> = ioctlCall('VFIO_DEVICE_RESET', vfioNumber(11))

/** Flags of `vfio_device_ioeventfd`: the width of the write. */
export const VFIO_DEVICE_IOEVENTFD_FLAG = { 8: 1, 16: 2, 32: 4, 64: 8 } as const
export const VFIO_DEVICE_IOEVENTFD_SIZE_MASK = 0xf

/** `struct vfio_device_ioeventfd`. */
export interface VfioDeviceIoeventfd {
  readonly argsz: number
  readonly flags: number
  /** Place of the write in the device file. */
  readonly offset: bigint
  /** What is written. */
  readonly data: bigint
  /** -1: take it away. */
  readonly fd: number
  readonly reserved: number
}
export const vfioDeviceIoeventfd: CStruct<VfioDeviceIoeventfd> = struct('vfio_device_ioeventfd', {
  argsz: u32,
  flags: flags(u32, { '8': 1, '16': 2, '32': 4, '64': 8 }),
  offset: u64,
  data: u64,
  fd: s32,
  reserved: u32,
})
export const VFIO_DEVICE_IOEVENTFD: IoctlCall<VfioDeviceIoeventfd> = ioctlCall(
  'VFIO_DEVICE_IOEVENTFD',
  vfioNumber(16),
  vfioDeviceIoeventfd,
  28,
)
