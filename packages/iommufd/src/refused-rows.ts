/**
 * Calls that are known and refused: dirty tracking, invalidation, virtual IOMMUs. What they need does not exist here, and they
 * say so in the order the kernel's checks come. drivers/iommu/iommufd/hw_pagetable.c, viommu.c, eventq.c.
 */
import { type AnyIoctlRow, type Errno, type IoctlRow, UapiError } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import { HwptPaging } from './hwpt-paging.ts'
import * as uapi from './uapi.ts'

const row = <T>(made: IoctlRow<IommufdContext, T>): AnyIoctlRow => made
const refuse = (errno: Errno, call: string, out?: object): UapiError => new UapiError(errno, call, {}, out)

/** Most entries of one invalidation, and events of one queue. */
const MOST = 1 << 19

/** No domain is made with dirty tracking. */
const dirtyRows: readonly AnyIoctlRow[] = [
  row({
    call: uapi.IOMMU_HWPT_SET_DIRTY_TRACKING,
    run({ objects }, { flags, hwpt_id }) {
      const call = 'IOMMU_HWPT_SET_DIRTY_TRACKING'
      if ((flags & ~uapi.SET_DIRTY_FLAG.ENABLE) !== 0) throw refuse('EOPNOTSUPP', call)
      objects.find(hwpt_id, HwptPaging)
      throw refuse('EOPNOTSUPP', call)
    },
  }),
  row({
    call: uapi.IOMMU_HWPT_GET_DIRTY_BITMAP,
    run({ objects }, input) {
      const call = 'IOMMU_HWPT_GET_DIRTY_BITMAP'
      const { flags, __reserved, iova, length, page_size } = input
      if ((flags & ~uapi.GET_DIRTY_FLAG.NO_CLEAR) !== 0 || __reserved !== 0) throw refuse('EOPNOTSUPP', call)
      const { ioas } = objects.find(input.hwpt_id, HwptPaging)
      // A length of 0 has its last byte before the first one: that is an overflow too.
      if (length === 0n || iova + length - 1n > uapi.U64_MAX) throw refuse('EOVERFLOW', call)
      const end = BigInt.asUintN(64, iova + length)
      const mask = BigInt(ioas.table.iovas.alignment - 1)
      if (((iova | end) & mask) !== 0n || page_size === 0n) throw refuse('EINVAL', call)
      if (((iova | end) & (page_size - 1n)) !== 0n) throw refuse('EINVAL', call)
      throw refuse('EOPNOTSUPP', call)
    },
  }),
]

/** Only nested HWPTs and virtual IOMMUs can be invalidated. The number of entries done is written back. */
const invalidateRow: AnyIoctlRow = row({
  call: uapi.IOMMU_HWPT_INVALIDATE,
  run({ objects, parts }, input) {
    const call = 'IOMMU_HWPT_INVALIDATE'
    const none = { entry_num: 0 }
    const { entry_num, entry_len, data_uptr, __reserved } = input
    if (__reserved !== 0) throw refuse('EOPNOTSUPP', call, none)
    const bad = data_uptr === 0n || entry_len === 0 || entry_len > parts.pageBytes || entry_num > MOST
    if (entry_num !== 0 && bad) throw refuse('EINVAL', call, none)
    if (!objects.peek(input.hwpt_id)) throw refuse('ENOENT', call, none)
    throw refuse('EINVAL', call, none)
  },
})

/** No driver offers a virtual IOMMU, so that no call finds one. */
const viommuRows: readonly AnyIoctlRow[] = [
  row({
    call: uapi.IOMMU_VIOMMU_ALLOC,
    run({ objects }, { flags, type, dev_id }) {
      if (flags !== 0 || type === 0) throw refuse('EOPNOTSUPP', 'IOMMU_VIOMMU_ALLOC')
      objects.find(dev_id, Device)
      throw refuse('EOPNOTSUPP', 'IOMMU_VIOMMU_ALLOC')
    },
  }),
  row({
    call: uapi.IOMMU_VDEVICE_ALLOC,
    run() {
      throw refuse('ENOENT', 'IOMMU_VDEVICE_ALLOC')
    },
  }),
  row({
    call: uapi.IOMMU_VEVENTQ_ALLOC,
    run(_context, { flags, __reserved, type, veventq_depth: depth }) {
      if (flags !== 0 || __reserved !== 0 || type === 0) throw refuse('EOPNOTSUPP', 'IOMMU_VEVENTQ_ALLOC')
      throw refuse(depth === 0 || depth > MOST ? 'EINVAL' : 'ENOENT', 'IOMMU_VEVENTQ_ALLOC')
    },
  }),
  row({
    call: uapi.IOMMU_HW_QUEUE_ALLOC,
    run(_context, { flags, type, length, nesting_parent_iova: iova }) {
      const call = 'IOMMU_HW_QUEUE_ALLOC'
      if (flags !== 0 || type === 0) throw refuse('EOPNOTSUPP', call)
      if (length === 0n) throw refuse('EINVAL', call)
      throw refuse(iova + length - 1n > uapi.U64_MAX ? 'EOVERFLOW' : 'ENOENT', call)
    },
  }),
]

/** All of them. */
export const refusedRows: readonly AnyIoctlRow[] = [...dirtyRows, invalidateRow, ...viommuRows]
