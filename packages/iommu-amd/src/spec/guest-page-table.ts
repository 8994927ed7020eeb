/** Guest translation (v2): the GCR3 table, and long-mode page tables of 4 or 5 levels; 48882 "Guest and Nested Address Translation", AMD64 vol. 2 "Long-Mode Page Translation". */
import { field, type Field } from '@ioasis/core'

/** GCR3 table entry, 8 bytes; bits 51:12 are the guest's root table, or the next GCR3 table. */
export const GCR3: { readonly V: Field } = { V: field(0) }
/** PASID bits that each GCR3 level takes. */
export const GCR3_BITS = 9

/** Fields of an entry; bits 51:12 are the address. */
export const GPTE: Readonly<Record<'P' | 'RW' | 'US' | 'A' | 'D' | 'PS' | 'G' | 'NX', Field>> = {
  P: field(0),
  /** Writes are allowed; ANDed over the levels, as is US. */
  RW: field(1),
  US: field(2),
  /** Accessed: set in every entry used. Dirty: set in the leaf by a write. */
  A: field(5),
  D: field(6),
  /** The entry is a leaf: 2 MiB at level 2, 1 GiB at level 3; reserved above. */
  PS: field(7),
  G: field(8),
  NX: field(63),
}
/** `DTE2.GuestPagingMode`. */
export const GUEST_PAGING = { LEVELS_4: 0, LEVELS_5: 1 } as const
