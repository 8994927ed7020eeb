/**
 * Page tables of the mock: AMD v1 with a granule of 2 KiB, so that its pages are not the CPU's. Sizes, levels and apertures are
 * those of drivers/iommu/generic_pt/fmt/amdv1.h with AMDV1_IOMMUFD_SELFTEST and of drivers/iommu/iommufd/selftest.c.
 *
 * Linux keeps AMD's fields and stores the target shifted left by one. Nobody but this package looks at an entry, so here the
 * target stands in place and the level below it.
 */
import type { PageTableFormat, PageTableGeometry, PageTableLevel } from '@ioasis/page-table'
import type { IovaRange } from '@ioasis/core'

/** Fields of an entry. */
export const ENTRY = {
  PRESENT: 0x1n,
  /** Written through: set by hardware in the one entry that it walked. */
  DIRTY: 0x40n,
  /** Level below; 0: a page of this entry's size; 7: a larger page, its size in the address. */
  NEXT: 0x380n,
  /** Host address of a page or table. */
  ADDRESS: 0x7_ffff_ffff_f800n,
  READ: 0x2000_0000_0000_0000n,
  WRITE: 0x4000_0000_0000_0000n,
} as const

/** log2 of the smallest page. */
export const GRANULE_SHIFT = 11
const BITS = 9
/** Levels: the table does not grow. */
const LEVELS = 3

const level = (depth: number): PageTableLevel => {
  const shift = GRANULE_SHIFT + BITS * depth
  const next = { bits: ENTRY.READ | ENTRY.WRITE | (BigInt(depth) << 7n) | ENTRY.PRESENT, tested: ENTRY.NEXT }
  return {
    shift,
    bits: BITS,
    pageSizes: ((1n << BigInt(BITS)) - 1n) << BigInt(shift),
    leafBits: 0n,
    ...(depth > 0 && { table: next }),
  }
}

/** The format, as data. */
export const mockFormat: PageTableFormat = Object.freeze({
  name: 'mock',
  endianness: 'little',
  tableShift: 12,
  address: ENTRY.ADDRESS,
  present: ENTRY.PRESENT,
  permissions: { always: ENTRY.PRESENT, read: ENTRY.READ, write: ENTRY.WRITE, writable: ENTRY.WRITE },
  dirty: ENTRY.DIRTY,
  contiguous: { bits: ENTRY.NEXT, tested: ENTRY.NEXT },
  levels: Array.from({ length: LEVELS }, (_, depth) => level(depth)),
})

/** How a domain is made: `pagetable_type` of the mock's uAPI. */
export interface MockGeometry {
  readonly table: PageTableGeometry
  /** Bit n set: iommufd may map pages of 2^n bytes. */
  readonly pageSizes: bigint
  readonly aperture: IovaRange
}

const IOVA_BITS = GRANULE_SHIFT + BITS * LEVELS
/** All powers of two below half of what the table reaches. */
const ALL_SIZES = (1n << BigInt(IOVA_BITS - 1)) - (1n << BigInt(GRANULE_SHIFT))

/** MOCK_IOMMUPT_DEFAULT: pages of 2 KiB and up, in 16 MiB to 2 GiB. */
export const DEFAULT_GEOMETRY: MockGeometry = {
  table: { topLevel: LEVELS - 1, pageSizes: ALL_SIZES },
  pageSizes: ALL_SIZES,
  aperture: { first: 1n << 24n, last: (1n << 31n) - 1n },
}

/** MOCK_IOMMUPT_HUGE: the CPU's pages and pages of 1 MiB, wherever the table reaches. */
export const hugeGeometry = (pageBytes: number): MockGeometry => {
  const pageSizes = (1n << 20n) | BigInt(pageBytes)
  return {
    // The granule stays among the table's sizes: larger pages are split into it. Whole CPU pages never choose it.
    table: { topLevel: LEVELS - 1, pageSizes: pageSizes | (1n << BigInt(GRANULE_SHIFT)) },
    pageSizes,
    aperture: { first: 0n, last: (1n << BigInt(IOVA_BITS)) - 1n },
  }
}
