/**
 * Translation control entries. LoPAR "TCE Table Entries"; arch/powerpc/include/asm/tce.h; QEMU hw/pci-host/pnv_phb4.c
 * pnv_phb4_translate_tve. Big-endian in memory, held here as two words in the CPU's order, `hi` bits 63:32.
 */

/** Low bits of an entry. The others below the page are software's. */
export const TCE = {
  /** The device may read: memory to device. */
  READ: 1,
  /** The device may write. */
  WRITE: 2,
  /** Both: also what an entry of a higher level carries. */
  BOTH: 3,
} as const

/** Least page of an entry, log2: 4 KiB. */
export const TCE_SHIFT_MIN = 12

/** A word with its bytes reversed: what a big-endian word reads as on a little-endian view. */
export const swap32 = (word: number): number =>
  (word >>> 24) | ((word >>> 8) & 0xff00) | ((word & 0xff00) << 8) | (word << 24)

/** `rw`, `r-`, `-w`, `--`. */
export const accessText = (access: number): string =>
  `${access & TCE.READ ? 'r' : '-'}${access & TCE.WRITE ? 'w' : '-'}`
