/**
 * Translation validation entries of PHB4 and PHB5: one for each window of an endpoint. skiboot include/phb4-regs.h IODA3_TVT_*;
 * QEMU hw/pci-host/pnv_phb4.c pnv_phb4_translate_tve. IBM numbers bits from the top; `field` takes them from the bottom.
 */
import { type Field, field } from '@ioasis/core'

/** Fields of a TVE. */
export const TVE: {
  /** Bits 63:16 of the word: table address >> 12, as two fields because it straddles. */
  readonly TABLE_HI: Field
  readonly TABLE_LO: Field
  /** Levels of the table - 1. */
  readonly LEVELS: Field
  /** log2 of a level's entries - 8; 0: the entry is invalid. */
  readonly TABLE_SIZE: Field
  /** Requests go through untranslated where the page size is 0 as well. */
  readonly NON_TRANSLATE: Field
  /** log2 of a page - 11; 0: untranslated. */
  readonly PAGE_SIZE: Field
} = {
  TABLE_HI: field(63, 32),
  TABLE_LO: field(31, 16),
  LEVELS: field(15, 13),
  TABLE_SIZE: field(12, 8),
  NON_TRANSLATE: field(7),
  PAGE_SIZE: field(4, 0),
}

/** Most levels a walk has. */
export const TVE_LEVELS_MAX = 5
/** Windows of an endpoint; bit 59 of the address chooses. */
export const WINDOWS = 2
/** First address of the second window: bit 59. */
export const WINDOW1_FIRST = 0x800_0000_0000_0000n

/** A TVE from what it is to say. @param table a multiple of 4096 @param bits log2 of a level's entries @param shift log2 of a page; 0: untranslated */
export function tveOf(table: number, levels: number, bits: number, shift: number): readonly [lo: number, hi: number] {
  const page = table / 4096
  const hi = Math.floor(page / 0x1_0000) | 0
  const lo = ((page % 0x1_0000) << 16) | ((levels - 1) << 13) | ((bits - 8) << 8) | (shift === 0 ? 0x80 : shift - 11)
  return [lo, hi]
}
