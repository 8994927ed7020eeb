/** Lists of host pages to map. */
import type { Hpa } from '../address.ts'

/**
 * Host pages behind a range of iovas, in order: runs of contiguous hpa. User memory is scattered, so a mapping is a list;
 * it is plain arrays so that a million pages are mapped without an object each.
 */
export interface PageRuns {
  /** Runs used; the arrays may be longer. */
  readonly count: number
  /** First hpa of each run. */
  readonly hpa: Float64Array
  /** Bytes of each run: a multiple of the domain's smallest page. */
  readonly bytes: Float64Array
}

/**
 * The runs of contiguous host memory `[hpa, bytes]`, in the order they are mapped: `pageRuns([0x20_0000, 0x3000], [0x8000, 0x1000])`.
 * Code that maps many pages fills the typed arrays itself.
 */
export function pageRuns(...runs: readonly (readonly [hpa: Hpa, bytes: number])[]): PageRuns {
  return {
    count: runs.length,
    hpa: Float64Array.from(runs, ([hpa]) => hpa),
    bytes: Float64Array.from(runs, ([, bytes]) => bytes),
  }
}
