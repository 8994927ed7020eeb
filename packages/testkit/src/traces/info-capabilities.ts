/** Capability chains behind VFIO's info structs, as traces print them: include/uapi/linux/vfio.h struct vfio_info_cap_header. */
import { hexText } from './outcome.ts'
import { loadInteger } from './payload.ts'

type Printed = Record<string, unknown>
type Body = (bytes: Uint8Array, at: number) => Printed

const HEADER = 8
const u32 = (bytes: Uint8Array, at: number): number => Number(loadInteger(bytes, at, 4))
const u64 = (bytes: Uint8Array, at: number): string => hexText(loadInteger(bytes, at, 8))

/** `count` pairs of u64 at an offset. */
const pairs = (bytes: Uint8Array, at: number, count: number): [string, string][] =>
  Array.from({ length: Math.min(count, Math.floor((bytes.length - at) / 16)) }, (_, i) => [
    u64(bytes, at + 16 * i),
    u64(bytes, at + 16 * i + 8),
  ])

const CONTAINER: Readonly<Record<number, Body>> = {
  1: (b, at) => ({ name: 'iova_range', iova_ranges: pairs(b, at + 16, u32(b, at + HEADER)) }),
  2: (b, at) => ({
    name: 'migration',
    flags: u32(b, at + HEADER),
    pgsize_bitmap: u64(b, at + 16),
    max_dirty_bitmap_size: u64(b, at + 24),
  }),
  3: (b, at) => ({ name: 'dma_avail', avail: u32(b, at + HEADER) }),
}
const REGION: Readonly<Record<number, Body>> = {
  1: (b, at) => ({ name: 'sparse_mmap', areas: pairs(b, at + 16, u32(b, at + HEADER)) }),
  2: (b, at) => ({ name: 'type', type: u32(b, at + HEADER), subtype: u32(b, at + 12) }),
  3: () => ({ name: 'msix_mappable' }),
}
const KINDS: Readonly<Record<string, Readonly<Record<number, Body>>>> = {
  VFIO_IOMMU_GET_INFO: CONTAINER,
  VFIO_DEVICE_GET_REGION_INFO: REGION,
}

/**
 * The chain in the order of its links.
 * @param bytes struct and payload
 * @param first offset of the first capability
 */
export function printCapabilities(operation: string, bytes: Uint8Array, first: number): readonly Printed[] {
  const found: Printed[] = []
  const seen = new Set<number>()
  for (let at = first; at !== 0 && at + HEADER <= bytes.length && !seen.has(at);) {
    seen.add(at)
    const id = Number(loadInteger(bytes, at, 2))
    const next = u32(bytes, at + 4)
    const body = KINDS[operation]?.[id]?.(bytes, at) ?? {}
    found.push({ id, version: Number(loadInteger(bytes, at + 2, 2)), at, next, ...body })
    at = next
  }
  return found
}
