/** Ioctls of a container, /dev/vfio/vfio, that it answers itself; include/uapi/linux/vfio.h. */
import { type IoctlCall, ioctlCall } from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** What VFIO_CHECK_EXTENSION asks for and, the first ones, what VFIO_SET_IOMMU chooses. */
export const VFIO_EXTENSION = {
  VFIO_TYPE1_IOMMU: 1,
  VFIO_SPAPR_TCE_IOMMU: 2,
  VFIO_TYPE1v2_IOMMU: 3,
  /** DMA is coherent whatever the devices ask. */
  VFIO_DMA_CC_IOMMU: 4,
  VFIO_EEH: 5,
  /** Withdrawn from the uAPI; the number stays taken. */
  VFIO_TYPE1_NESTING_IOMMU: 6,
  VFIO_SPAPR_TCE_v2_IOMMU: 7,
  VFIO_NOIOMMU_IOMMU: 8,
  VFIO_UNMAP_ALL: 9,
  VFIO_UPDATE_VADDR: 10,
} as const

/** @returns VFIO_API_VERSION */
export const VFIO_GET_API_VERSION: IoctlCall<never> = ioctlCall('VFIO_GET_API_VERSION', vfioNumber(0))
/** The argument is a number of `VFIO_EXTENSION`. */
export const VFIO_CHECK_EXTENSION: IoctlCall<never> = ioctlCall('VFIO_CHECK_EXTENSION', vfioNumber(1))
/** The argument is a number of `VFIO_EXTENSION`. */
export const VFIO_SET_IOMMU: IoctlCall<never> = ioctlCall('VFIO_SET_IOMMU', vfioNumber(2))
