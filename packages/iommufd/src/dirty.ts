/**
 * Dirty tracking of a domain, and the bitmap user space has for it: a bit for each page, at any byte of its memory.
 * drivers/iommu/iommufd/io_pagetable.c iopt_set_dirty_tracking, iopt_read_and_clear_dirty_data; iova_bitmap.c.
 */
import {
  type Caller,
  flushGather,
  type Iova,
  type IovaRange,
  type PagingDomain,
  UapiError,
  type Uva,
} from '@ioasis/core'
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
  const bitmap = new UserBitmap(caller, input.data, first, input.page_size)
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

/** Bits in user memory, the lowest of the first byte for the first iova. */
class UserBitmap {
  readonly #caller: Caller
  readonly #uva: Uva
  readonly #first: Iova
  /** log2 of the bytes that a bit stands for: the lowest bit set, also where the size is no power of two. */
  readonly #shift: bigint

  constructor(caller: Caller, uva: Uva, first: Iova, pageBytes: bigint) {
    this.#caller = caller
    this.#uva = uva
    this.#first = first
    this.#shift = BigInt((pageBytes & -pageBytes).toString(2).length - 1)
  }

  /** Sets the bits of a range, page by page of user memory; the first page that cannot be written ends it. */
  set(iova: Iova, bytes: bigint): void {
    const { addressSpace } = this.#caller.process
    const page = BigInt(addressSpace.pageBytes)
    const lastBit = (iova + bytes - 1n - this.#first) >> this.#shift
    for (let bit = (iova - this.#first) >> this.#shift; bit <= lastBit;) {
      const at = this.#uva + (bit >> 3n)
      const pageEnd = (at / page + 1n) * page
      const endBit = (pageEnd - this.#uva) * 8n
      const to = endBit <= lastBit ? endBit - 1n : lastBit
      const piece = new Uint8Array(Number((to >> 3n) - (bit >> 3n)) + 1)
      if (addressSpace.copyIn(at, piece) < piece.length) return
      setBits(piece, Number(bit & 7n), Number(to - bit) + 1)
      if (addressSpace.copyOut(at, piece) < piece.length) return
      bit = to + 1n
    }
  }
}

function setBits(bytes: Uint8Array, from: number, count: number): void {
  for (let bit = from, left = count; left > 0;) {
    const index = bit >>> 3
    const whole = (bit & 7) === 0 && left >= 8
    bytes[index] = whole ? 0xff : (bytes[index] as number) | (1 << (bit & 7))
    bit += whole ? 8 : 1
    left -= whole ? 8 : 1
  }
}
