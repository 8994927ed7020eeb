/** Context entry of legacy mode, 128 bits, one per function; Intel VT-d r4.1 "Context Entry". */
import { field, type Field } from '@ioasis/core'

/** Fields of the low 64-bit word; bits 63:12 are the second-stage table, 11:4 are reserved. */
export const CONTEXT_LO: { readonly P: Field; readonly FPD: Field; readonly TT: Field } = {
  /** Present. */
  P: field(0),
  /** Fault Processing Disable: faults found from here on are refused without a record. Works with P clear, too. */
  FPD: field(1),
  /** Translation Type, see `TT`. */
  TT: field(3, 2),
}
/** Fields of the high 64-bit word; bits 6:3 are software's, bit 7 and 63:24 are reserved. */
export const CONTEXT_HI: { readonly AW: Field; readonly AVAIL: Field; readonly DID: Field } = {
  /** Address Width: tables of AW + 2 levels, 30 + 9 * AW bits. */
  AW: field(2, 0),
  /** Ignored by hardware. */
  AVAIL: field(6, 3),
  /** Domain id, up to CAP.ND's width. */
  DID: field(23, 8),
}
/** Values of `CONTEXT_LO.TT`. */
export const TT = {
  /** Untranslated requests go through the tables; translated and translation requests are blocked. */
  MULTI_LEVEL: 0,
  /** As before, and the device may have a TLB: needs ECAP.DT. */
  DEVICE_TLB: 1,
  /** Untranslated requests pass through; needs ECAP.PT. */
  PASS_THROUGH: 2,
} as const
/** Bytes of an entry: the table of 256 fills one page. */
export const CONTEXT_ENTRY_BYTES = 16
