/** What the mock driver exchanges with user space: drivers/iommu/iommufd/iommufd_test.h of Linux 7.2. Data only. */
import { type CStruct, struct, u32, u64 } from '@ioasis/core'

/** iommu_hw_info_type: the mock's, and what its register reads as. */
export const HW_INFO_TYPE_SELFTEST = 0xfeed_beef
/** `test_reg` of every mock device. */
export const HW_INFO_SELFTEST_REGVAL = 0xdead_beef
/** struct iommu_test_hw_info. */
export const TEST_HW_INFO: CStruct<{ readonly flags: number; readonly test_reg: number }> = struct(
  'iommu_test_hw_info',
  { flags: u32, test_reg: u32 },
)

/** iommu_hwpt_data_type: no data, and that of the mock's domains. */
export const HWPT_DATA_NONE = 0
/** See `HWPT_DATA_NONE`. */
export const HWPT_DATA_SELFTEST = 0xdead
/** What programs put into the cache of a nested domain. */
export const IOTLB_DEFAULT = 0xbad_beef
/** `pagetable_type`. */
export const PAGE_TABLE = { DEFAULT: 0, HUGE: 1 } as const
/** struct iommu_hwpt_selftest; shorter ones end before `pagetable_type`. */
export const HWPT_SELFTEST: CStruct<{ readonly iotlb: number; readonly pagetable_type: number }> = struct(
  'iommu_hwpt_selftest',
  { iotlb: u32, pagetable_type: u32 },
)
/** Entries in the cache of a nested domain, and in a device's own. */
export const CACHE_ENTRIES = 4
/** What a device's cache holds at first. */
export const DEVICE_CACHE_DEFAULT = 0xba_ddad

/** iommu_hwpt_invalidate_data_type of a nested domain's cache. */
export const HWPT_INVALIDATE_SELFTEST = 0xdead_beef
/** A type that nobody has. */
export const HWPT_INVALIDATE_SELFTEST_INVALID = 0xdad_beef
/** Flag of both kinds of entry: all cache entries, whatever the index. */
export const INVALIDATE_ALL = 1
/** struct iommu_hwpt_invalidate_selftest. */
export const HWPT_INVALIDATE: CStruct<{ readonly flags: number; readonly iotlb_id: number }> = struct(
  'iommu_hwpt_invalidate_selftest',
  { flags: u32, iotlb_id: u32 },
)

/** iommu_viommu_type of the mock's vIOMMU. */
export const VIOMMU_TYPE_SELFTEST = 0xdead_beef
/** What the mock's vIOMMU is made with, and tells. */
export interface ViommuSelftest {
  readonly in_data: number
  /** As `in_data`. */
  readonly out_data: number
  /** For mmap(2) of the iommufd. */
  readonly out_mmap_offset: bigint
  readonly out_mmap_length: bigint
}
/** struct iommu_viommu_selftest. */
export const VIOMMU_SELFTEST: CStruct<ViommuSelftest> = struct('iommu_viommu_selftest', {
  in_data: u32,
  out_data: u32,
  out_mmap_offset: u64,
  out_mmap_length: u64,
})
/** iommu_viommu_invalidate_data_type of the devices' caches. */
export const VIOMMU_INVALIDATE_SELFTEST = 0xdead_beef
/** struct iommu_viommu_invalidate_selftest. */
export const VIOMMU_INVALIDATE: CStruct<{
  readonly flags: number
  readonly vdev_id: number
  readonly cache_id: number
}> = struct('iommu_viommu_invalidate_selftest', { flags: u32, vdev_id: u32, cache_id: u32 })

/** iommu_veventq_type of the mock. */
export const VEVENTQ_TYPE_SELFTEST = 0xbeef_beef
/** struct iommu_viommu_event_selftest. */
export const VIOMMU_EVENT: CStruct<{ readonly virt_id: number }> = struct('iommu_viommu_event_selftest', {
  virt_id: u32,
})

/** iommu_hw_queue_type of the mock, and how many a vIOMMU has. */
export const HW_QUEUE_TYPE_SELFTEST = 0xdead_beef
/** Queues of one vIOMMU. */
export const HW_QUEUES = 2
