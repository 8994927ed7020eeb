/** Dirty tracking of a domain. drivers/iommu/iommufd/io_pagetable.c iopt_set_dirty_tracking, iopt_read_and_clear_dirty_data. */
import { type Caller, flushGather, type IovaRange, type PagingDomain, UapiError, UserBitmap } from '@ioasis/core'
import type { HwptPaging } from './hwpt-paging.ts'
import type { IoPageTable } from './io-pagetable.ts'
import { GET_DIRTY_FLAG, type IommuHwptGetDirtyBitmap, U64_MAX } from './uapi.ts'

/** What a domain without it answers. */
function dirtyOf({ dirty }: PagingDomain, call: string): NonNullable<PagingDomain['dirty']> {
  if (!dirty) throw new UapiError('EOPNOTSUPP', call)
  return dirty
}

/** IOMMU_HWPT_SET_DIRTY_TRACKING: before it is switched on, what was written until now is forgotten. @throws UapiError EOPNOTSUPP; as the driver */
export function setDirtyTracking({ domain, ioas }: HwptPaging, on: boolean): void {
  const dirty = dirtyOf(domain, 'IOMMU_HWPT_SET_DIRTY_TRACKING')
  if (on) {
    const gather = flushGather()
    for (const { first, last } of ioas.table.areas.within()) {
      dirty.read({ first, last }, () => {}, { clear: true, gather })
    }
    domain.sync(gather)
  }
  dirty.set(on)
}

/** The range must be whole pages of the IOAS and of the bitmap (iommufd_check_iova_range). @throws UapiError EOVERFLOW, EINVAL */
function checkRange({ iovas }: IoPageTable, { iova, length, page_size: page }: IommuHwptGetDirtyBitmap): IovaRange {
  const refuse = (errno: 'EOVERFLOW' | 'EINVAL'): UapiError =>
    new UapiError(errno, 'IOMMU_HWPT_GET_DIRTY_BITMAP', { iova, length, page })
  // A length of 0 has its last byte before the first one: that is an overflow too.
  if (length === 0n || iova + length - 1n > U64_MAX) throw refuse('EOVERFLOW')
  const end = BigInt.asUintN(64, iova + length)
  if (((iova | end) & BigInt(iovas.alignment - 1)) !== 0n || page === 0n) throw refuse('EINVAL')
  if (((iova | end) & (page - 1n)) !== 0n) throw refuse('EINVAL')
  return { first: iova, last: iova + length - 1n }
}

/**
 * IOMMU_HWPT_GET_DIRTY_BITMAP: sets bits for what was written, up to the first iova that is not mapped, and starts a new round.
 * Bits that cannot be written are lost, as in Linux: that is no error.
 * @throws UapiError EOVERFLOW, EINVAL; EOPNOTSUPP without tracking
 */
export function readDirtyBitmap({ domain, ioas }: HwptPaging, caller: Caller, input: IommuHwptGetDirtyBitmap): void {
  const { table } = ioas
  const { first, last } = checkRange(table, input)
  const dirty = dirtyOf(domain, 'IOMMU_HWPT_GET_DIRTY_BITMAP')
  const clear = (input.flags & GET_DIRTY_FLAG.NO_CLEAR) === 0
  const bitmap = new UserBitmap(caller.process.addressSpace, { uva: input.data, first, pageBytes: input.page_size })
  const gather = flushGather()
  let next = first
  for (const area of table.areas.within(first, last)) {
    if (area.first > next) break
    const to = area.last < last ? area.last : last
    dirty.read({ first: next, last: to }, (iova, bytes) => bitmap.set(iova, bytes), { clear, gather })
    next = to + 1n
  }
  if (clear) domain.sync(gather)
}
