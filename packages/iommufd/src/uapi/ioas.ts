/** Calls of address spaces and of objects in general: include/uapi/linux/iommufd.h. */
import { choice, type CStruct, flags, type IoctlCall, s32, struct, u16, u32, u64, userPointer } from '@ioasis/core'
import { iommufdCall } from './number.ts'

/** `struct iommu_destroy`. */
export interface IommuDestroy {
  readonly size: number
  readonly id: number
}
const iommuDestroy: CStruct<IommuDestroy> = struct('iommu_destroy', {
  size: u32,
  id: u32,
})
export const IOMMU_DESTROY: IoctlCall<IommuDestroy> = iommufdCall('IOMMU_DESTROY', 0x80, iommuDestroy, 'id')

/** `struct iommu_ioas_alloc`. */
export interface IommuIoasAlloc {
  readonly size: number
  readonly flags: number
  readonly out_ioas_id: number
}
const iommuIoasAlloc: CStruct<IommuIoasAlloc> = struct('iommu_ioas_alloc', {
  size: u32,
  flags: u32,
  out_ioas_id: u32,
})
export const IOMMU_IOAS_ALLOC: IoctlCall<IommuIoasAlloc> = iommufdCall(
  'IOMMU_IOAS_ALLOC',
  0x81,
  iommuIoasAlloc,
  'out_ioas_id',
)

/** `struct iommu_iova_range`. */
export interface IommuIovaRange {
  readonly start: bigint
  /** Inclusive. */
  readonly last: bigint
}
/** One element of the arrays of IOVA_RANGES and ALLOW_IOVAS. */
export const IOVA_RANGE: CStruct<IommuIovaRange> = struct('iommu_iova_range', {
  start: u64,
  last: u64,
})

/** `struct iommu_ioas_allow_iovas`. */
export interface IommuIoasAllowIovas {
  readonly size: number
  readonly ioas_id: number
  readonly num_iovas: number
  readonly __reserved: number
  /** uva of an array of `iommu_iova_range`. */
  readonly allowed_iovas: bigint
}
const iommuIoasAllowIovas: CStruct<IommuIoasAllowIovas> = struct('iommu_ioas_allow_iovas', {
  size: u32,
  ioas_id: u32,
  num_iovas: u32,
  __reserved: u32,
  allowed_iovas: userPointer('num_iovas', 'in', 16),
})
export const IOMMU_IOAS_ALLOW_IOVAS: IoctlCall<IommuIoasAllowIovas> = iommufdCall(
  'IOMMU_IOAS_ALLOW_IOVAS',
  0x82,
  iommuIoasAllowIovas,
  'allowed_iovas',
)

/** Flags of MAP, MAP_FILE and COPY. */
export const MAP_FLAG = { FIXED_IOVA: 1, WRITEABLE: 2, READABLE: 4 } as const

/** `struct iommu_ioas_copy`. */
export interface IommuIoasCopy {
  readonly size: number
  readonly flags: number
  readonly dst_ioas_id: number
  readonly src_ioas_id: number
  /** Bytes. */
  readonly length: bigint
  readonly dst_iova: bigint
  readonly src_iova: bigint
}
const iommuIoasCopy: CStruct<IommuIoasCopy> = struct('iommu_ioas_copy', {
  size: u32,
  flags: flags(u32, MAP_FLAG),
  dst_ioas_id: u32,
  src_ioas_id: u32,
  length: u64,
  dst_iova: u64,
  src_iova: u64,
})
export const IOMMU_IOAS_COPY: IoctlCall<IommuIoasCopy> = iommufdCall('IOMMU_IOAS_COPY', 0x83, iommuIoasCopy, 'src_iova')

/** `struct iommu_ioas_iova_ranges`. */
export interface IommuIoasIovaRanges {
  readonly size: number
  readonly ioas_id: number
  /** In: room in the array. Out: how many there are. */
  readonly num_iovas: number
  readonly __reserved: number
  /** uva of an array of `iommu_iova_range`. */
  readonly allowed_iovas: bigint
  /** Bytes. */
  readonly out_iova_alignment: bigint
}
const iommuIoasIovaRanges: CStruct<IommuIoasIovaRanges> = struct('iommu_ioas_iova_ranges', {
  size: u32,
  ioas_id: u32,
  num_iovas: u32,
  __reserved: u32,
  allowed_iovas: userPointer('num_iovas', 'out', 16),
  out_iova_alignment: u64,
})
export const IOMMU_IOAS_IOVA_RANGES: IoctlCall<IommuIoasIovaRanges> = iommufdCall(
  'IOMMU_IOAS_IOVA_RANGES',
  0x84,
  iommuIoasIovaRanges,
  'out_iova_alignment',
)

/** `struct iommu_ioas_map`. */
export interface IommuIoasMap {
  readonly size: number
  readonly flags: number
  readonly ioas_id: number
  readonly __reserved: number
  readonly user_va: bigint
  /** Bytes. */
  readonly length: bigint
  readonly iova: bigint
}
const iommuIoasMap: CStruct<IommuIoasMap> = struct('iommu_ioas_map', {
  size: u32,
  flags: flags(u32, MAP_FLAG),
  ioas_id: u32,
  __reserved: u32,
  user_va: u64,
  length: u64,
  iova: u64,
})
export const IOMMU_IOAS_MAP: IoctlCall<IommuIoasMap> = iommufdCall('IOMMU_IOAS_MAP', 0x85, iommuIoasMap, 'iova')

/** `struct iommu_ioas_unmap`. */
export interface IommuIoasUnmap {
  readonly size: number
  readonly ioas_id: number
  readonly iova: bigint
  /** In: bytes to unmap. Out: bytes that were mapped. */
  readonly length: bigint
}
const iommuIoasUnmap: CStruct<IommuIoasUnmap> = struct('iommu_ioas_unmap', {
  size: u32,
  ioas_id: u32,
  iova: u64,
  length: u64,
})
export const IOMMU_IOAS_UNMAP: IoctlCall<IommuIoasUnmap> = iommufdCall(
  'IOMMU_IOAS_UNMAP',
  0x86,
  iommuIoasUnmap,
  'length',
)

/** `option_id` of IOMMU_OPTION. */
export const OPTION = { RLIMIT_MODE: 0, HUGE_PAGES: 1 } as const
/** `op` of IOMMU_OPTION. */
export const OPTION_OP = { SET: 0, GET: 1 } as const

/** `struct iommu_option`. */
export interface IommuOption {
  readonly size: number
  readonly option_id: number
  readonly op: number
  readonly __reserved: number
  readonly object_id: number
  readonly val64: bigint
}
const iommuOption: CStruct<IommuOption> = struct('iommu_option', {
  size: u32,
  option_id: choice(u32, OPTION),
  op: choice(u16, OPTION_OP),
  __reserved: u16,
  object_id: u32,
  val64: u64,
})
export const IOMMU_OPTION: IoctlCall<IommuOption> = iommufdCall('IOMMU_OPTION', 0x87, iommuOption, 'val64')

/** `op` of IOMMU_VFIO_IOAS. */
export const VFIO_IOAS_OP = { GET: 0, SET: 1, CLEAR: 2 } as const

/** `struct iommu_vfio_ioas`. */
export interface IommuVfioIoas {
  readonly size: number
  readonly ioas_id: number
  readonly op: number
  readonly __reserved: number
}
const iommuVfioIoas: CStruct<IommuVfioIoas> = struct('iommu_vfio_ioas', {
  size: u32,
  ioas_id: u32,
  op: choice(u16, VFIO_IOAS_OP),
  __reserved: u16,
})
export const IOMMU_VFIO_IOAS: IoctlCall<IommuVfioIoas> = iommufdCall(
  'IOMMU_VFIO_IOAS',
  0x88,
  iommuVfioIoas,
  '__reserved',
)

/** `struct iommu_ioas_map_file`. */
export interface IommuIoasMapFile {
  readonly size: number
  readonly flags: number
  readonly ioas_id: number
  readonly fd: number
  /** Byte of the file. */
  readonly start: bigint
  /** Bytes. */
  readonly length: bigint
  readonly iova: bigint
}
const iommuIoasMapFile: CStruct<IommuIoasMapFile> = struct('iommu_ioas_map_file', {
  size: u32,
  flags: flags(u32, MAP_FLAG),
  ioas_id: u32,
  fd: s32,
  start: u64,
  length: u64,
  iova: u64,
})
export const IOMMU_IOAS_MAP_FILE: IoctlCall<IommuIoasMapFile> = iommufdCall(
  'IOMMU_IOAS_MAP_FILE',
  0x8f,
  iommuIoasMapFile,
  'iova',
)

/** `struct iommu_ioas_change_process`. */
export interface IommuIoasChangeProcess {
  readonly size: number
  readonly __reserved: number
}
const iommuIoasChangeProcess: CStruct<IommuIoasChangeProcess> = struct('iommu_ioas_change_process', {
  size: u32,
  __reserved: u32,
})
export const IOMMU_IOAS_CHANGE_PROCESS: IoctlCall<IommuIoasChangeProcess> = iommufdCall(
  'IOMMU_IOAS_CHANGE_PROCESS',
  0x92,
  iommuIoasChangeProcess,
  '__reserved',
)
