/** Capabilities behind VFIO_IOMMU_GET_INFO, in the kernel's order. drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_get_info. */
import type { InfoCapability } from '@ioasis/core'
import {
  VFIO_IOMMU_TYPE1_INFO_CAP,
  vfioCapDmaAvail,
  vfioCapIovaRange,
  vfioCapMigration,
  vfioIovaRange,
} from '@ioasis/uapi'
import type { Type1 } from './type1.ts'
import { MOST_BITMAP_BYTES } from './dirty-pages.ts'

const { MIGRATION, DMA_AVAIL, IOVA_RANGE } = VFIO_IOMMU_TYPE1_INFO_CAP

/** Migration, mappings left, and the iovas that can be mapped, once something limits them. */
export function infoCapabilities(type1: Type1): readonly InfoCapability[] {
  const { pageBytes, available } = type1
  const migration = { flags: 0, pgsize_bitmap: pageBytes, max_dirty_bitmap_size: MOST_BITMAP_BYTES }
  const ranges = type1.domains.valid ?? []
  return [
    { id: MIGRATION, version: 1, body: vfioCapMigration.make(migration) },
    { id: DMA_AVAIL, version: 1, body: vfioCapDmaAvail.make({ avail: available }) },
    ...(ranges.length > 0 ? [{ id: IOVA_RANGE, version: 1, body: rangesBody(ranges) }] : []),
  ]
}

function rangesBody(ranges: readonly { readonly first: bigint; readonly last: bigint }[]): Uint8Array {
  const body = vfioCapIovaRange.make({ nr_iovas: ranges.length }, ranges.length * vfioIovaRange.size)
  ranges.forEach(({ first, last }, i) => {
    vfioIovaRange.encode({ start: first, end: last }, body.subarray(vfioCapIovaRange.size + i * vfioIovaRange.size))
  })
  return body
}
