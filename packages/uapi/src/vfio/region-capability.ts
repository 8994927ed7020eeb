/** Capabilities behind `vfio_region_info`, each after its `vfio_info_cap_header`; include/uapi/linux/vfio.h. */
import { type CStruct, struct, u32, u64 } from '@ioasis/core'

/** Ids. MSIX_MAPPABLE has no body: the page of the MSI-X table may be mapped. */
export const VFIO_REGION_INFO_CAP = {
  SPARSE_MMAP: 1,
  TYPE: 2,
  MSIX_MAPPABLE: 3,
  NVLINK2_SSATGT: 4,
  NVLINK2_LNKSPD: 5,
} as const

/** Body of SPARSE_MMAP: this, then `nr_areas` times `vfio_region_sparse_mmap_area`. */
export interface VfioRegionSparseMmap {
  readonly nr_areas: number
  readonly reserved: number
}
export const vfioRegionSparseMmap: CStruct<VfioRegionSparseMmap> = struct('vfio_region_info_cap_sparse_mmap', {
  nr_areas: u32,
  reserved: u32,
})
/** `struct vfio_region_sparse_mmap_area`: a part of the region that can be mapped. */
export interface VfioSparseArea {
  readonly offset: bigint
  readonly size: bigint
}
export const vfioSparseArea: CStruct<VfioSparseArea> = struct('vfio_region_sparse_mmap_area', {
  offset: u64,
  size: u64,
})

/** Body of TYPE: what a region beyond the fixed ones is. */
export interface VfioRegionType {
  readonly type: number
  readonly subtype: number
}
export const vfioRegionType: CStruct<VfioRegionType> = struct('vfio_region_info_cap_type', { type: u32, subtype: u32 })
