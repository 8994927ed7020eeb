/** What stands in memory for each requester: where its page table lies. One entry of 8 bytes, indexed by requester id. */

/** Bytes of the table: 65,536 entries. */
export const DEVICE_TABLE_BYTES = 0x8_0000

/** Low word of an entry, below the address of a page table. 0: blocked. */
export const DEVICE_ENTRY = {
  /** A page table is in force; bits 51:12 say where it lies. */
  TABLE: 1,
  /** Requests pass untranslated. */
  THROUGH: 2,
  /** Writes mark the pages they go to. */
  TRACKS: 4,
} as const
