/**
 * The CPU's page tables, which IOMMUs walk as a guest's or first stage: Intel SDM volume 3 "4.5 4-Level Paging and 5-Level
 * Paging", AMD IOMMU specification 48882 rev 3.08 "2.2.6 Guest Virtual Address Translation", used as
 * drivers/iommu/generic_pt/fmt/x86_64.h does: accessed and dirty are set beforehand, so that hardware never has to.
 */
import type { PageTableFormat, PageTableLevel } from '../format.ts'

const P = 1n << 0n
const RW = 1n << 1n
const US = 1n << 2n
const A = 1n << 5n
const D = 1n << 6n
/** Page Size: the entry of level 1 or 2 is a page. */
const PS = 1n << 7n
/** Ignored by hardware; the first of the bits that x86_64_pt_sw_bit gives to software. */
const FLUSHED = 1n << 9n
const ADDRESS = 0x000f_ffff_ffff_f000n

const level = (shift: number, page: boolean): PageTableLevel => ({
  shift,
  bits: 9,
  pageSizes: page ? 1n << BigInt(shift) : 0n,
  leafBits: page && shift > 12 ? PS : 0n,
  ...(shift > 12 && { table: { bits: P | RW | US | A, tested: page ? PS : 0n } }),
})

/**
 * x86-64: four or five levels (`topLevel` 3 or 4), pages of 4 KiB, 2 MiB and 1 GiB. The upper half of a sign-extended address
 * space is not used: give `iovaBits` of 47 or 56, as Linux does where a table may be walked either way.
 */
export const x86_64: PageTableFormat = Object.freeze({
  name: 'x86-64',
  endianness: 'little',
  tableShift: 12,
  address: ADDRESS,
  present: P,
  permissions: { always: P | US | A, read: 0n, write: RW | D, writable: RW },
  dirty: D,
  flushedTable: FLUSHED,
  levels: [level(12, true), level(21, true), level(30, true), level(39, false), level(48, false)],
})
