import { expect, test } from 'vitest'
import * as uapi from './uapi.ts'

const exported = uapi as unknown as Readonly<Record<string, unknown>>

/** name, nr, bytes, minimum: as `sizeof` and `offsetofend` of a compiler give them for include/uapi/linux/iommufd.h. */
const GOLDEN: readonly (readonly [keyof typeof uapi, number, number, number])[] = [
  ['IOMMU_DESTROY', 0x80, 8, 8],
  ['IOMMU_IOAS_ALLOC', 0x81, 12, 12],
  ['IOMMU_IOAS_ALLOW_IOVAS', 0x82, 24, 24],
  ['IOMMU_IOAS_COPY', 0x83, 40, 40],
  ['IOMMU_IOAS_IOVA_RANGES', 0x84, 32, 32],
  ['IOMMU_IOAS_MAP', 0x85, 40, 40],
  ['IOMMU_IOAS_UNMAP', 0x86, 24, 24],
  ['IOMMU_OPTION', 0x87, 24, 24],
  ['IOMMU_VFIO_IOAS', 0x88, 12, 12],
  ['IOMMU_HWPT_ALLOC', 0x89, 48, 24],
  ['IOMMU_GET_HW_INFO', 0x8a, 40, 32],
  ['IOMMU_HWPT_SET_DIRTY_TRACKING', 0x8b, 16, 16],
  ['IOMMU_HWPT_GET_DIRTY_BITMAP', 0x8c, 48, 48],
  ['IOMMU_HWPT_INVALIDATE', 0x8d, 32, 32],
  ['IOMMU_FAULT_QUEUE_ALLOC', 0x8e, 16, 16],
  ['IOMMU_IOAS_MAP_FILE', 0x8f, 40, 40],
  ['IOMMU_VIOMMU_ALLOC', 0x90, 40, 24],
  ['IOMMU_VDEVICE_ALLOC', 0x91, 24, 24],
  ['IOMMU_IOAS_CHANGE_PROCESS', 0x92, 8, 8],
  ['IOMMU_VEVENTQ_ALLOC', 0x93, 32, 28],
  ['IOMMU_HW_QUEUE_ALLOC', 0x94, 40, 40],
]

test.each(GOLDEN)('%s is nr 0x%x, has %i bytes of which %i are asked for', (name, nr, size, minimum) => {
  expect(exported[name]).toMatchObject({ name, number: (0x3b << 8) | nr, minimum, struct: { size } })
})

test('the structs that are read and written without an ioctl have their sizes', () => {
  expect([uapi.IOVA_RANGE.size, uapi.HWPT_PGFAULT.size, uapi.HWPT_PAGE_RESPONSE.size]).toEqual([16, 40, 8])
})
