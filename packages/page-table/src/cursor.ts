/** How far a map call has come. */
export interface Cursor {
  /** Next iova to map, as two words. */
  hi: number
  lo: number
  /** The run that the next page comes from, and how many of its bytes are mapped. */
  run: number
  done: number
}

/** Moves the iova on by `count` pages of 2^shift bytes; count < 2^31, shift of 1 to 52. */
export function advance(at: Cursor, count: number, shift: number): void {
  if (shift >= 32) {
    at.hi = (at.hi + (count << (shift - 32))) | 0
    return
  }
  const lo = (at.lo + (count << shift)) | 0
  const carry = lo >>> 0 < at.lo >>> 0 ? 1 : 0
  at.hi = (at.hi + (count >>> (32 - shift)) + carry) | 0
  at.lo = lo
}
