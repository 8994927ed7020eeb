/** RTAS calls on DMA windows of pseries. LoPAR "Dynamic DMA Windows Option"; QEMU hw/ppc/spapr_rtas_ddw.c. */

/** Answers, in the first output. */
export const RTAS = { SUCCESS: 0, HARDWARE: -1, PARAMETER: -3 } as const

/** log2 of the page sizes that bits 0 to 8 of a query's mask name. The 2 MiB page came last. */
export const QUERY_SHIFTS: readonly number[] = [12, 16, 24, 25, 26, 27, 28, 34, 21]

/** Page sizes of a query's mask as a bitmap of bytes: bit n set for pages of 2^n. */
export const pageSizesOf = (mask: number): bigint =>
  QUERY_SHIFTS.reduce((sizes, shift, bit) => (mask & (1 << bit) ? sizes | (1n << BigInt(shift)) : sizes), 0n)
/** log2 of the largest page of a mask; 0: it names none. */
export const largestShift = (mask: number): number =>
  Math.max(0, ...QUERY_SHIFTS.filter((_, bit) => (mask & (1 << bit)) !== 0))

/** RTAS as a partition calls it: a token, 32-bit inputs, the number of outputs wanted. */
export interface RtasFirmware {
  /** @returns the outputs, the status first; u32 each */
  call(token: number, inputs: readonly number[], outputs: number): readonly number[]
}
