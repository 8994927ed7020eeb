/** Lists of host pages to map. */
import type { Hpa } from '../address.ts'
import type { PageRuns } from './driver.ts'

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
