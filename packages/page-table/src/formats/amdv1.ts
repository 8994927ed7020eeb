/**
 * Host page tables of AMD-Vi, AMD IOMMU specification 48882 rev 3.08 "2.2.3 I/O Page Tables for Host Translations", used as
 * drivers/iommu/generic_pt/fmt/amdv1.h does: an entry names the level it points to; a page larger than its level's entry fills
 * all entries it covers, its size encoded in the address ("Table 14: Example Page Size Encodings").
 */
import type { PageTableFormat, PageTableLevel } from '../format.ts'

const PR = 1n << 0n
const D = 1n << 6n
const NEXT_LEVEL = 7n << 9n
const IR = 1n << 61n
const IW = 1n << 62n
const ADDRESS = 0x000f_ffff_ffff_f000n
/** 512 GiB pages do not work in hardware, says amdv1pt_possible_sizes; 2^51 is the largest that the address can encode. */
const NOT_A_SIZE = 1n << 39n
const SIZES = ((1n << 52n) - 4096n) & ~NOT_A_SIZE

const level = (depth: number, pages: boolean): PageTableLevel => {
  const shift = 12 + 9 * depth
  const reach = ((1n << 9n) - 1n) << BigInt(shift)
  return {
    shift,
    // The uppermost level sees what is left of 64 bits.
    bits: depth === 5 ? 7 : 9,
    pageSizes: pages ? reach & SIZES : 0n,
    leafBits: 0n,
    ...(depth > 0 && { table: { bits: IR | IW | (BigInt(depth) << 9n) | PR, tested: NEXT_LEVEL } }),
  }
}

/**
 * AMD v1: one to six levels (mode is `topLevel` + 1), pages of every power of two from 4 KiB but 512 GiB. FC (bit 60), which
 * makes hardware ignore No Snoop, is an attribute of each map call. Levels are never skipped: Linux does not either.
 */
export const amdv1: PageTableFormat = Object.freeze({
  name: 'AMD v1',
  endianness: 'little',
  tableShift: 12,
  address: ADDRESS,
  present: PR,
  permissions: { always: PR, read: IR, write: IW, writable: IW },
  dirty: D,
  contiguous: { bits: NEXT_LEVEL, tested: NEXT_LEVEL },
  levels: [level(0, true), level(1, true), level(2, true), level(3, true), level(4, true), level(5, false)],
})
