/** The user address each entry of a window was made for (it_userspace), in pieces: a window may have millions of entries. */

/** Entries of a piece. */
const PIECE = 512

/** Numbers by entry; 0: none. */
export class UserAddresses {
  readonly #pieces = new Map<number, Float64Array>()

  get(index: number): number {
    return this.#pieces.get(Math.floor(index / PIECE))?.[index % PIECE] ?? 0
  }
  set(index: number, uva: number): void {
    const number = Math.floor(index / PIECE)
    let piece = this.#pieces.get(number)
    if (!piece) {
      if (uva === 0) return
      this.#pieces.set(number, (piece = new Float64Array(PIECE)))
    }
    piece[index % PIECE] = uva
  }
}
