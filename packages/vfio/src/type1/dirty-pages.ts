/** Bitmaps of dirty pages in user memory. drivers/vfio/vfio_iommu_type1.c update_user_bitmap, verify_bitmap_size. */
import { type Caller, readUser, UapiError, type Uva, writeUser } from '@ioasis/core'
import type { VfioBitmap } from '@ioasis/uapi'
import type { DirtyBits } from './dirty-bits.ts'

/** Bytes of the largest bitmap: 2^31 - 1 pages, DIRTY_BITMAP_SIZE_MAX. */
export const MOST_BITMAP_BYTES = 0x1000_0000n
/** Where user addresses end, TASK_SIZE_MAX. */
const USER_END = (1n << 47n) - 4096n

const bitmapBytes = (pages: bigint): bigint => ((pages + 63n) / 64n) * 8n

/** Whether a bitmap has room for the pages of a range. @throws UapiError EINVAL */
export function checkBitmap({ pgsize, size, data }: VfioBitmap, bytes: bigint): void {
  const pages = pgsize === 0n ? 0n : bytes / (pgsize & -pgsize)
  const refused = pages === 0n || size === 0n || size > MOST_BITMAP_BYTES || size < bitmapBytes(pages)
  if (refused || data + size > USER_END) throw new UapiError('EINVAL', 'vfio_iommu_type1_dirty_pages', { pgsize, size })
}

/**
 * Writes the bits of one mapping into the user's bitmap, from its bit `offset` on, in whole words. Where it does not begin with
 * a word, what the user has in its first one is added.
 * @throws UapiError EFAULT; the bits stay shifted then
 */
export function writeBitmap(caller: Caller, bitmap: Uva, offset: bigint, dirty: DirtyBits): void {
  const shift = Number(offset % 64n)
  const at = bitmap + (offset / 64n) * 8n
  if (shift) {
    dirty.shiftUp(shift)
    dirty.addToFirst(readUser(caller, at, 8, 'VFIO_IOMMU_DIRTY_PAGES'))
  }
  writeUser(caller, at, dirty.words(dirty.pages + shift), 'VFIO_IOMMU_DIRTY_PAGES')
}
