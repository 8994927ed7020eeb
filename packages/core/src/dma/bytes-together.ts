/**
 * For the cache of 4 KiB leaves that units keep: four ways of 512 sets, one way after the other, eight words to an entry. Of these
 * `[0]`, `[1]` are the first iova, low and high, `[2]` the owner, `[3]`, `[4]` the first hpa, low and high, flags in its low bits.
 * The set of an entry is `((lo >>> 12) ^ hi ^ (Math.imul(owner, 0x9e37_79b1) >>> 16)) & 511`. Literals here as in the units.
 */

/** Most bytes that `bytesTogether` joins. */
const MOST_TOGETHER = 0x1_0000

/**
 * Joins the pages that follow a hit, while they hit as well, allow the same and lie behind one another: one
 * answer where there would be one per page.
 * @param words of the table
 * @param at entry that was hit
 * @param left bytes from the request's address to the end of its page
 * @param length bytes wanted
 * @returns bytes that hit, at most `length` and 64 KiB
 */
export function bytesTogether(words: Int32Array, at: number, left: number, length: number): number {
  const hi = words[at + 1] as number
  const owner = words[at + 2] as number
  const frameHi = words[at + 4] as number
  const salt = hi ^ (Math.imul(owner, 0x9e37_79b1) >>> 16)
  const most = (length < MOST_TOGETHER ? length : MOST_TOGETHER) | 0
  let tag = words[at] as number
  let leaf = words[at + 3] as number
  let bytes = left | 0
  while (bytes < most) {
    tag = (tag + 0x1000) | 0
    leaf = (leaf + 0x1000) | 0
    // A carry into either high word ends it.
    if (tag === 0 || leaf >>> 12 === 0) return bytes
    let next = (((tag >>> 12) ^ salt) & 511) << 3
    while (words[next] !== tag || words[next + 1] !== hi || words[next + 2] !== owner) {
      next += 0x1000
      if (next >= 0x4000) return bytes
    }
    if (words[next + 3] !== leaf || words[next + 4] !== frameHi) return bytes
    bytes = (bytes + 0x1000) | 0
  }
  return most
}
