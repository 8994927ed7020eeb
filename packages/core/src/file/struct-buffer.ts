/** Where a struct lies on its way between user memory and code: made once, lent to one call at a time. */

/** The same bytes three ways. */
export interface StructBuffer {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Up to three bytes more. */
  readonly words: Int32Array
}

/** Zeros. @param size bytes */
export function structBuffer(size: number): StructBuffer {
  const words = new Int32Array(Math.ceil(size / 4))
  return { bytes: new Uint8Array(words.buffer, 0, size), view: new DataView(words.buffer), words }
}
