/** Root entry, 128 bits, one per bus; Intel VT-d r4.1 "Root Entry". */
import { field, type Field } from '@ioasis/core'

/** Fields of the low 64-bit word; bits 63:12 are the context table, 11:1 and the whole high word are reserved. */
export const ROOT: { readonly P: Field } = {
  /** Present. */
  P: field(0),
}
/** Bytes of an entry: the table of 256 fills one page. */
export const ROOT_ENTRY_BYTES = 16
