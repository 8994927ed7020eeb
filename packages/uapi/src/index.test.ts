import type { AnyIoctlCall, StructLayout } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import * as uapi from './index.ts'

/** Numbers as the preprocessor makes them of include/uapi/linux/vfio.h of Linux 7.2: `_IO(';', 100 + n)`. */
const NUMBERS: readonly (readonly [name: string, number: number, minimum: number])[] = [
  ['VFIO_GET_API_VERSION', 0x3b64, 0],
  ['VFIO_CHECK_EXTENSION', 0x3b65, 0],
  ['VFIO_SET_IOMMU', 0x3b66, 0],
  ['VFIO_GROUP_GET_STATUS', 0x3b67, 8],
  ['VFIO_GROUP_SET_CONTAINER', 0x3b68, 0],
  ['VFIO_GROUP_UNSET_CONTAINER', 0x3b69, 0],
  ['VFIO_GROUP_GET_DEVICE_FD', 0x3b6a, 0],
  ['VFIO_DEVICE_GET_INFO', 0x3b6b, 16],
  ['VFIO_DEVICE_GET_REGION_INFO', 0x3b6c, 32],
  ['VFIO_DEVICE_GET_IRQ_INFO', 0x3b6d, 16],
  ['VFIO_DEVICE_SET_IRQS', 0x3b6e, 20],
  ['VFIO_DEVICE_RESET', 0x3b6f, 0],
  ['VFIO_DEVICE_GET_PCI_HOT_RESET_INFO', 0x3b70, 12],
  ['VFIO_DEVICE_PCI_HOT_RESET', 0x3b71, 12],
  ['VFIO_DEVICE_IOEVENTFD', 0x3b74, 28],
  ['VFIO_DEVICE_FEATURE', 0x3b75, 8],
  ['VFIO_DEVICE_BIND_IOMMUFD', 0x3b76, 16],
  ['VFIO_DEVICE_ATTACH_IOMMUFD_PT', 0x3b77, 12],
  ['VFIO_DEVICE_DETACH_IOMMUFD_PT', 0x3b78, 8],
  ['VFIO_MIG_GET_PRECOPY_INFO', 0x3b79, 24],
  ['VFIO_IOMMU_GET_INFO', 0x3b70, 16],
  ['VFIO_IOMMU_MAP_DMA', 0x3b71, 32],
  ['VFIO_IOMMU_UNMAP_DMA', 0x3b72, 24],
  ['VFIO_IOMMU_ENABLE', 0x3b73, 0],
  ['VFIO_IOMMU_DISABLE', 0x3b74, 0],
  ['VFIO_IOMMU_DIRTY_PAGES', 0x3b75, 8],
  ['VFIO_IOMMU_SPAPR_TCE_GET_INFO', 0x3b70, 16],
  ['VFIO_IOMMU_SPAPR_REGISTER_MEMORY', 0x3b75, 24],
  ['VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY', 0x3b76, 24],
  ['VFIO_IOMMU_SPAPR_TCE_CREATE', 0x3b77, 40],
  ['VFIO_IOMMU_SPAPR_TCE_REMOVE', 0x3b78, 16],
  ['VFIO_EEH_PE_OP', 0x3b79, 12],
]

/** Sizes and offsets by the C ABI of x86-64, in the order of the members. Flexible arrays and capability headers left out. */
const LAYOUTS: readonly (readonly [
  layout: StructLayout<unknown>,
  name: string,
  size: number,
  offsets: readonly number[],
])[] = [
  [uapi.vfioIommuSpaprTceDdwInfo, 'vfio_iommu_spapr_tce_ddw_info', 16, [0, 8, 12]],
  [uapi.vfioIommuSpaprTceInfo, 'vfio_iommu_spapr_tce_info', 32, [0, 4, 8, 12, 16]],
  [uapi.vfioIommuSpaprRegisterMemory, 'vfio_iommu_spapr_register_memory', 24, [0, 4, 8, 16]],
  [uapi.vfioIommuSpaprTceCreate, 'vfio_iommu_spapr_tce_create', 40, [0, 4, 8, 12, 16, 24, 28, 32]],
  [uapi.vfioIommuSpaprTceRemove, 'vfio_iommu_spapr_tce_remove', 16, [0, 4, 8]],
  [uapi.vfioEehPeErr, 'vfio_eeh_pe_err', 24, [0, 4, 8, 16]],
  [uapi.vfioEehPeOp, 'vfio_eeh_pe_op', 40, [0, 4, 8, 16]],
  [uapi.vfioGroupStatus, 'vfio_group_status', 8, [0, 4]],
  [uapi.vfioDeviceInfo, 'vfio_device_info', 24, [0, 4, 8, 12, 16, 20]],
  [uapi.vfioRegionInfo, 'vfio_region_info', 32, [0, 4, 8, 12, 16, 24]],
  [uapi.vfioRegionSparseMmap, 'vfio_region_info_cap_sparse_mmap', 8, [0, 4]],
  [uapi.vfioSparseArea, 'vfio_region_sparse_mmap_area', 16, [0, 8]],
  [uapi.vfioRegionType, 'vfio_region_info_cap_type', 8, [0, 4]],
  [uapi.vfioIrqInfo, 'vfio_irq_info', 16, [0, 4, 8, 12]],
  [uapi.vfioIrqSet, 'vfio_irq_set', 20, [0, 4, 8, 12, 16]],
  [uapi.vfioDeviceIoeventfd, 'vfio_device_ioeventfd', 32, [0, 4, 8, 16, 24, 28]],
  [uapi.vfioDeviceFeature, 'vfio_device_feature', 8, [0, 4]],
  [uapi.vfioFeatureMigration, 'vfio_device_feature_migration', 8, [0]],
  [uapi.vfioFeatureMigState, 'vfio_device_feature_mig_state', 8, [0, 4]],
  [uapi.vfioLowPowerWakeup, 'vfio_device_low_power_entry_with_wakeup', 8, [0, 4]],
  [uapi.vfioDmaLoggingControl, 'vfio_device_feature_dma_logging_control', 24, [0, 8, 12, 16]],
  [uapi.vfioDmaLoggingRange, 'vfio_device_feature_dma_logging_range', 16, [0, 8]],
  [uapi.vfioDmaLoggingReport, 'vfio_device_feature_dma_logging_report', 32, [0, 8, 16, 24]],
  [uapi.vfioMigDataSize, 'vfio_device_feature_mig_data_size', 8, [0]],
  [uapi.vfioFeatureBusMaster, 'vfio_device_feature_bus_master', 4, [0]],
  [uapi.vfioFeatureDmaBuf, 'vfio_device_feature_dma_buf', 16, [0, 4, 8, 12]],
  [uapi.vfioRegionDmaRange, 'vfio_region_dma_range', 16, [0, 8]],
  [uapi.vfioPrecopyInfo, 'vfio_precopy_info', 24, [0, 4, 8, 16]],
  [uapi.vfioDeviceBindIommufd, 'vfio_device_bind_iommufd', 24, [0, 4, 8, 12, 16]],
  [uapi.vfioDeviceAttachIommufdPt, 'vfio_device_attach_iommufd_pt', 16, [0, 4, 8, 12]],
  [uapi.vfioDeviceDetachIommufdPt, 'vfio_device_detach_iommufd_pt', 12, [0, 4, 8]],
  [uapi.vfioPciDependentDevice, 'vfio_pci_dependent_device', 8, [0, 4, 6, 7]],
  [uapi.vfioPciHotResetInfo, 'vfio_pci_hot_reset_info', 12, [0, 4, 8]],
  [uapi.vfioPciHotReset, 'vfio_pci_hot_reset', 12, [0, 4, 8]],
  [uapi.vfioIommuType1Info, 'vfio_iommu_type1_info', 24, [0, 4, 8, 16, 20]],
  [uapi.vfioCapIovaRange, 'vfio_iommu_type1_info_cap_iova_range', 8, [0, 4]],
  [uapi.vfioIovaRange, 'vfio_iova_range', 16, [0, 8]],
  [uapi.vfioCapMigration, 'vfio_iommu_type1_info_cap_migration', 24, [0, 8, 16]],
  [uapi.vfioCapDmaAvail, 'vfio_iommu_type1_info_dma_avail', 4, [0]],
  [uapi.vfioIommuType1DmaMap, 'vfio_iommu_type1_dma_map', 32, [0, 4, 8, 16, 24]],
  [uapi.vfioIommuType1DmaUnmap, 'vfio_iommu_type1_dma_unmap', 24, [0, 4, 8, 16]],
  [uapi.vfioBitmap, 'vfio_bitmap', 24, [0, 8, 16]],
  [uapi.vfioIommuType1DirtyBitmap, 'vfio_iommu_type1_dirty_bitmap', 8, [0, 4]],
  [uapi.vfioIommuType1DirtyBitmapGet, 'vfio_iommu_type1_dirty_bitmap_get', 40, [0, 8, 16]],
]

const exported = uapi as unknown as Readonly<Record<string, AnyIoctlCall>>

describe('the VFIO uAPI', () => {
  test.each(NUMBERS)('%s has the number and the shortest struct of the header', (name, number, minimum) => {
    expect(exported[name]).toMatchObject({ name, number, minimum })
  })
  test.each(LAYOUTS)(
    '%#: the members of a struct lie where the C compiler puts them',
    (layout, name, size, offsets) => {
      expect([layout.name, layout.size, layout.fields.map((f) => f.offset)]).toEqual([name, size, offsets])
    },
  )
  test('every exported call is in the table of numbers', () => {
    const calls = Object.values(exported).filter((value) => typeof value === 'object' && 'minimum' in value)
    expect(calls.map((call) => call.name).toSorted()).toEqual(NUMBERS.map(([name]) => name).toSorted())
  })
})
