/** Hypercalls on TCE tables of pseries: numbers, arguments, answers. LoPAR "TCE Access", arch/powerpc/include/asm/hvcall.h. */

/** Numbers. */
export const H_CALL = { GET_TCE: 0x1c, PUT_TCE: 0x20, STUFF_TCE: 0x138, PUT_TCE_INDIRECT: 0x13c } as const

/** Answers. */
export const H = {
  SUCCESS: 0,
  HARDWARE: -1,
  PARAMETER: -4,
  NOT_ENOUGH_RESOURCES: -44,
} as const

/** Entries that one call takes at most: a list is one page of 4 KiB. */
export const H_ENTRIES_MAX = 512

/** The hypervisor as the guest calls it. Addresses and entries are two words: a window is cleared entry by entry. */
export interface TceHypercalls {
  /** Answer of the last `getTce`: r4. */
  readonly tceHi: number
  readonly tceLo: number
  getTce(liobn: number, hi: number, lo: number): number
  putTce(liobn: number, hi: number, lo: number, tceHi: number, tceLo: number): number
  /** @param list real address of big-endian entries */
  putTceIndirect(liobn: number, hi: number, lo: number, list: number, pages: number): number
  stuffTce(liobn: number, hi: number, lo: number, tceHi: number, tceLo: number, pages: number): number
}
