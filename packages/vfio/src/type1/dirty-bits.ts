/**
 * The bitmap of one mapping, one bit for each page, with a spare word into which it is shifted before it is told. What is
 * shifted beyond the pages is not cleared with them, and is told again: lib/bitmap.c works on whole words, and
 * drivers/vfio/vfio_iommu_type1.c update_user_bitmap shifts in place.
 */

const WORD_BYTES = 8
const wordBytes = (bits: number): number => Math.ceil(bits / 64) * WORD_BYTES

/** Kept while dirty pages are tracked. */
export class DirtyBits {
  readonly pages: number
  readonly #bytes: Uint8Array

  constructor(pages: number) {
    this.pages = pages
    this.#bytes = new Uint8Array(wordBytes(pages) + WORD_BYTES)
  }
  set(first: number, count = 1): void {
    const end = first + count
    const [whole, wholeEnd] = [(first + 7) >>> 3, end >>> 3]
    if (whole < wholeEnd) this.#bytes.fill(0xff, whole, wholeEnd)
    for (let i = first; i < Math.min(end, whole * 8); i++) this.#setOne(i)
    for (let i = Math.max(first, wholeEnd * 8); i < end; i++) this.#setOne(i)
  }
  /** Every page. */
  setAll(): void {
    this.set(0, this.pages)
  }
  /** Every page; not what lies beyond. */
  clear(): void {
    this.#bytes.fill(0, 0, this.pages >>> 3)
    const rest = this.pages & 7
    const last = this.pages >>> 3
    if (rest) this.#bytes[last] = (this.#bytes[last] as number) & (0xff << rest)
  }
  has(bit: number): boolean {
    return (((this.#bytes[bit >>> 3] as number) >>> (bit & 7)) & 1) !== 0
  }
  /** Moves all bits up, in the words that hold the pages then. @param by 1 to 63 */
  shiftUp(by: number): void {
    const bytes = this.#bytes
    const [whole, rest] = [by >>> 3, by & 7]
    for (let i = wordBytes(this.pages + by) - 1; i >= 0; i--) {
      const upper = bytes[i - whole] ?? 0
      const lower = bytes[i - whole - 1] ?? 0
      bytes[i] = (upper << rest) | (lower >>> (8 - rest))
    }
  }
  /** Adds the bits of one word to the first. @param word 8 bytes */
  addToFirst(word: Uint8Array): void {
    for (let i = 0; i < WORD_BYTES; i++) this.#bytes[i] = (this.#bytes[i] as number) | (word[i] as number)
  }
  /** Whole words that hold `bits` bits. */
  words(bits: number): Uint8Array {
    return this.#bytes.subarray(0, wordBytes(bits))
  }
  #setOne(bit: number): void {
    this.#bytes[bit >>> 3] = (this.#bytes[bit >>> 3] as number) | (1 << (bit & 7))
  }
}
