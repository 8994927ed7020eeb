/** I/O page tables for host translation (v1): 48882 "I/O Page Tables for Host Translations". Nine address bits per level, 512 entries of 8 bytes. */
import { field, type Field } from '@ioasis/core'

/** Fields of an entry; bits 51:12 are the address. Bits 4:1, 8:7 and 63 are ignored, 56:52 are reserved. */
export const PTE: Readonly<Record<'PR' | 'A' | 'D' | 'NextLevel' | 'U' | 'FC' | 'IR' | 'IW', Field>> = {
  PR: field(0),
  /** Accessed and Dirty: updated as DTE.HAD says. */
  A: field(5),
  D: field(6),
  /** 0: a leaf of this level's size. 7: a leaf whose size stands in its address. Else the level of the table it points to. */
  NextLevel: field(11, 9),
  /** The U attribute of ATS answers. Leaves only. */
  U: field(59),
  /** Force Coherent: No Snoop requests are made coherent. Leaves only. */
  FC: field(60),
  /** Permissions: what counts is the AND over all levels and the DTE. */
  IR: field(61),
  IW: field(62),
}
/** `PTE.NextLevel` of leaves. */
export const NEXT_LEVEL = { LEAF: 0, SIZED_LEAF: 7 } as const
/** Most levels of a host table. */
export const HOST_LEVELS = 6
/** Bit 11:0 of the address that a table of level n translates begins at bit 12 + 9 * (n - 1). */
export const levelShift = (level: number): number => 12 + 9 * (level - 1)

/**
 * Size of a sized leaf, 48882 "Page Size Encoding": the lowest 0 in address bits 51:12 is the highest bit inside the page.
 * @returns log2 of its bytes, 13 to 52; undefined where all address bits are 1
 */
export function sizedLeafShift(addressHi: number, addressLo: number): number | undefined {
  const low = ~(addressLo | 0xfff)
  if (low !== 0) return 32 - Math.clz32(low & -low)
  const high = ~addressHi & 0xf_ffff
  return high === 0 ? undefined : 64 - Math.clz32(high & -high)
}
