/** Ioctls of a container with a type1 back end; include/uapi/linux/vfio.h. */
import { type CStruct, flags, type IoctlCall, ioctlCall, struct, u32, u64 } from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** Flags of `vfio_iommu_type1_info`. */
export const VFIO_IOMMU_INFO = { PGSIZES: 1, CAPS: 2 } as const

/** `struct vfio_iommu_type1_info`. */
export interface VfioIommuType1Info {
  readonly argsz: number
  readonly flags: number
  /** Bit n set: pages of 2^n bytes. */
  readonly iova_pgsizes: bigint
  readonly cap_offset: number
  readonly pad: number
}
export const vfioIommuType1Info: CStruct<VfioIommuType1Info> = struct('vfio_iommu_type1_info', {
  argsz: u32,
  flags: flags(u32, VFIO_IOMMU_INFO),
  iova_pgsizes: u64,
  cap_offset: u32,
  pad: u32,
})
export const VFIO_IOMMU_GET_INFO: IoctlCall<VfioIommuType1Info> = ioctlCall(
  'VFIO_IOMMU_GET_INFO',
  vfioNumber(12),
  vfioIommuType1Info,
  16,
)

/** Ids of capabilities behind `vfio_iommu_type1_info`. */
export const VFIO_IOMMU_TYPE1_INFO_CAP = { IOVA_RANGE: 1, MIGRATION: 2, DMA_AVAIL: 3 } as const
/** Body of IOVA_RANGE: this, then `nr_iovas` times `vfio_iova_range`. */
export interface VfioCapIovaRange {
  readonly nr_iovas: number
  readonly reserved: number
}
export const vfioCapIovaRange: CStruct<VfioCapIovaRange> = struct('vfio_iommu_type1_info_cap_iova_range', {
  nr_iovas: u32,
  reserved: u32,
})
/** `struct vfio_iova_range`; `end` is inclusive. */
export interface VfioIovaRange {
  readonly start: bigint
  readonly end: bigint
}
export const vfioIovaRange: CStruct<VfioIovaRange> = struct('vfio_iova_range', { start: u64, end: u64 })
/** Body of MIGRATION; after the header of 8 bytes the 64-bit members lie on multiples of 8. */
export interface VfioCapMigration {
  readonly flags: number
  readonly pgsize_bitmap: bigint
  /** Bytes. */
  readonly max_dirty_bitmap_size: bigint
}
export const vfioCapMigration: CStruct<VfioCapMigration> = struct('vfio_iommu_type1_info_cap_migration', {
  flags: u32,
  pgsize_bitmap: u64,
  max_dirty_bitmap_size: u64,
})
/** Body of DMA_AVAIL: mappings that can still be made. */
export interface VfioCapDmaAvail {
  readonly avail: number
}
export const vfioCapDmaAvail: CStruct<VfioCapDmaAvail> = struct('vfio_iommu_type1_info_dma_avail', { avail: u32 })

/** Flags of `vfio_iommu_type1_dma_map`. */
export const VFIO_DMA_MAP_FLAG = { READ: 1, WRITE: 2, VADDR: 4 } as const

/** `struct vfio_iommu_type1_dma_map`. */
export interface VfioIommuType1DmaMap {
  readonly argsz: number
  readonly flags: number
  /** uva. */
  readonly vaddr: bigint
  readonly iova: bigint
  /** Bytes. */
  readonly size: bigint
}
export const vfioIommuType1DmaMap: CStruct<VfioIommuType1DmaMap> = struct('vfio_iommu_type1_dma_map', {
  argsz: u32,
  flags: flags(u32, VFIO_DMA_MAP_FLAG),
  vaddr: u64,
  iova: u64,
  size: u64,
})
export const VFIO_IOMMU_MAP_DMA: IoctlCall<VfioIommuType1DmaMap> = ioctlCall(
  'VFIO_IOMMU_MAP_DMA',
  vfioNumber(13),
  vfioIommuType1DmaMap,
)

/** Flags of `vfio_iommu_type1_dma_unmap`. */
export const VFIO_DMA_UNMAP_FLAG = { GET_DIRTY_BITMAP: 1, ALL: 2, VADDR: 4 } as const

/** `struct vfio_iommu_type1_dma_unmap` without its `data`: with GET_DIRTY_BITMAP a `vfio_bitmap` follows at byte 24. */
export interface VfioIommuType1DmaUnmap {
  readonly argsz: number
  readonly flags: number
  readonly iova: bigint
  /** In: bytes to unmap. Out: bytes that were unmapped. */
  readonly size: bigint
}
export const vfioIommuType1DmaUnmap: CStruct<VfioIommuType1DmaUnmap> = struct('vfio_iommu_type1_dma_unmap', {
  argsz: u32,
  flags: flags(u32, VFIO_DMA_UNMAP_FLAG),
  iova: u64,
  size: u64,
})
export const VFIO_IOMMU_UNMAP_DMA: IoctlCall<VfioIommuType1DmaUnmap> = ioctlCall(
  'VFIO_IOMMU_UNMAP_DMA',
  vfioNumber(14),
  vfioIommuType1DmaUnmap,
)

/** `struct vfio_bitmap`: one bit for each page. */
export interface VfioBitmap {
  readonly pgsize: bigint
  /** Bytes of the bitmap. */
  readonly size: bigint
  /** uva. */
  readonly data: bigint
}
export const vfioBitmap: CStruct<VfioBitmap> = struct('vfio_bitmap', { pgsize: u64, size: u64, data: u64 })

/** SPAPR's switch, which type1 does not know. */
export const VFIO_IOMMU_ENABLE: IoctlCall<never> = ioctlCall('VFIO_IOMMU_ENABLE', vfioNumber(15))
/** SPAPR's switch, which type1 does not know. */
export const VFIO_IOMMU_DISABLE: IoctlCall<never> = ioctlCall('VFIO_IOMMU_DISABLE', vfioNumber(16))

/** Flags of `vfio_iommu_type1_dirty_bitmap`: exactly one. */
export const VFIO_IOMMU_DIRTY_PAGES_FLAG = { START: 1, STOP: 2, GET_BITMAP: 4 } as const

/** `struct vfio_iommu_type1_dirty_bitmap`: with GET_BITMAP a `vfio_iommu_type1_dirty_bitmap_get` follows at byte 8. */
export interface VfioIommuType1DirtyBitmap {
  readonly argsz: number
  readonly flags: number
}
export const vfioIommuType1DirtyBitmap: CStruct<VfioIommuType1DirtyBitmap> = struct('vfio_iommu_type1_dirty_bitmap', {
  argsz: u32,
  flags: flags(u32, VFIO_IOMMU_DIRTY_PAGES_FLAG),
})
/** `struct vfio_iommu_type1_dirty_bitmap_get`. */
export interface VfioIommuType1DirtyBitmapGet {
  readonly iova: bigint
  readonly size: bigint
  readonly bitmap: VfioBitmap
}
export const vfioIommuType1DirtyBitmapGet: CStruct<VfioIommuType1DirtyBitmapGet> = struct(
  'vfio_iommu_type1_dirty_bitmap_get',
  { iova: u64, size: u64, bitmap: vfioBitmap },
)
export const VFIO_IOMMU_DIRTY_PAGES: IoctlCall<VfioIommuType1DirtyBitmap> = ioctlCall(
  'VFIO_IOMMU_DIRTY_PAGES',
  vfioNumber(17),
  vfioIommuType1DirtyBitmap,
)
