/** Second-stage paging entries, Intel VT-d r4.1 "Second-Stage Paging Entries". Nine address bits per level, 512 entries of 8 bytes. */
import { field, type Field } from '@ioasis/core'

/** Fields of an entry; bits 51:12 are the address. Bits not named here or in the comments are ignored. */
export const SS: {
  readonly R: Field
  readonly W: Field
  readonly PS: Field
  readonly A: Field
  readonly D: Field
  readonly SNP: Field
  readonly TM: Field
} = {
  /** Read and write permission; an entry with neither is not present: there is no other bit for that. */
  R: field(0),
  W: field(1),
  /** Page Size: the entry is a leaf (levels 2 and 3, as CAP.SSLPS allows; reserved in levels 4 and 5, ignored in level 1). */
  PS: field(7),
  /** Accessed and Dirty; scalable mode only, ignored in legacy mode. */
  A: field(8),
  D: field(9),
  /** Snoop: the access is snooped even when the device asks for No Snoop. Leaves only; reserved while ECAP.SC is 0. */
  SNP: field(11),
  /** Transient Mapping. Leaves only; reserved without device TLBs. */
  TM: field(62),
}
/** Highest address bit an entry can hold, plus 1. */
export const SS_ADDRESS_BITS = 52
/** Names of the entry at a level, 1 for the last one. */
export const SS_ENTRY_NAMES: readonly string[] = ['', 'SS-PTE', 'SS-PDE', 'SS-PDPE', 'SS-PML4E', 'SS-PML5E']
