/**
 * Which pages devices may have written since the user asked last. No group of this host says which pages it uses, so all that is
 * pinned and mapped counts as written, as in Linux for such groups. drivers/vfio/vfio_iommu_type1.c update_user_bitmap,
 * vfio_iommu_type1_dirty_pages.
 */
import { type Caller, readUser, UapiError, type Uva, writeUser } from '@ioasis/core'
import type { VfioBitmap } from '@ioasis/uapi'
import type { Mapping } from './mapping.ts'

/** Bytes of the largest bitmap: 2^31 - 1 pages, DIRTY_BITMAP_SIZE_MAX. */
export const MOST_BITMAP_BYTES = 0x1000_0000n

const bitmapBytes = (pages: bigint): bigint => ((pages + 63n) / 64n) * 8n

/** Whether a bitmap has room for the pages of a range. @throws UapiError EINVAL */
export function checkBitmap({ pgsize, size, data }: VfioBitmap, bytes: bigint): void {
  const pages = pgsize === 0n ? 0n : bytes / (pgsize & -pgsize)
  const refused = pages === 0n || size === 0n || size > MOST_BITMAP_BYTES || size < bitmapBytes(pages)
  if (refused || data >= 1n << 47n) throw new UapiError('EINVAL', 'vfio_iommu_type1_dirty_pages', { pgsize, size })
}

/**
 * Sets the bits of one mapping in a bitmap whose first bit stands for `base`; bits before them in the same word stay.
 * @throws UapiError EFAULT
 */
export function reportMapping(caller: Caller, bitmap: Uva, mapping: Mapping, base: bigint, pageBytes: bigint): void {
  const pages = Number(mapping.size / pageBytes)
  const offset = (mapping.iova - base) / pageBytes
  const shift = Number(offset % 64n)
  const at = bitmap + (offset / 64n) * 8n
  const bits = new Uint8Array(Number(bitmapBytes(BigInt(pages + shift))))
  if (mapping.pinned) for (let i = shift; i < pages + shift; i++) setBit(bits, i)
  if (shift) {
    const before = readUser(caller, at, 8, 'VFIO_IOMMU_DIRTY_PAGES')
    for (let i = 0; i < shift; i++) if (((before[i >>> 3] as number) >>> (i & 7)) & 1) setBit(bits, i)
  }
  writeUser(caller, at, bits, 'VFIO_IOMMU_DIRTY_PAGES')
}

function setBit(bits: Uint8Array, i: number): void {
  bits[i >>> 3] = (bits[i >>> 3] as number) | (1 << (i & 7))
}
