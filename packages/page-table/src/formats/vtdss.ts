/**
 * Second-stage paging entries, Intel VT-d r4.1 "9.8 Second-Stage Paging Entries", used as
 * drivers/iommu/generic_pt/fmt/vtdss.h does. There is no present bit: an entry that allows nothing is absent.
 */
import type { PageTableFormat, PageTableLevel } from '../format.ts'

const R = 1n << 0n
const W = 1n << 1n
/** Page Size: the entry of level 1 or 2 is a page. */
const PS = 1n << 7n
/** Dirty: set by hardware in scalable mode, where it is asked to. */
const D = 1n << 9n
/** Ignored by hardware; the first of the bits that vtdss_pt_sw_bit gives to software. */
const FLUSHED = 1n << 10n
const ADDRESS = 0x000f_ffff_ffff_f000n

const level = (shift: number, page: boolean): PageTableLevel => ({
  shift,
  bits: 9,
  pageSizes: page ? 1n << BigInt(shift) : 0n,
  leafBits: page && shift > 12 ? PS : 0n,
  ...(shift > 12 && { table: { bits: R | W, tested: page ? PS : 0n } }),
})

/**
 * VT-d second stage: three to five levels (`topLevel` 2 to 4), pages of 4 KiB, 2 MiB and 1 GiB. SNP (bit 11), which makes
 * hardware ignore No Snoop, is an attribute of each map call.
 */
export const vtdss: PageTableFormat = Object.freeze({
  name: 'VT-d second stage',
  endianness: 'little',
  tableShift: 12,
  address: ADDRESS,
  present: R | W,
  permissions: { always: 0n, read: R, write: W, writable: W },
  dirty: D,
  flushedTable: FLUSHED,
  levels: [level(12, true), level(21, true), level(30, true), level(39, false), level(48, false)],
})
