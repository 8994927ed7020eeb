/** One TCE table of a hypervisor: entries in pieces, so that a table of a terabyte costs what is in it. QEMU hw/ppc/spapr_iommu.c SpaprTceTable. */

/** Entries of a piece. */
const PIECE = 4096

/** A table; of no entries while no window uses it. */
export class TceTable {
  readonly liobn: number
  /** First bus address; log2 of a page; entries. */
  first = 0n
  firstHi = 0
  shift = 12
  entries = 0
  /** The last entry that `get` read. */
  hi = 0
  lo = 0
  #perPage = 1 / 4096
  #pieces: (Int32Array | undefined)[] = []

  constructor(liobn: number) {
    this.liobn = liobn
  }

  /** spapr_tce_table_enable(): all entries are 0. @param first a multiple of 2^32 */
  enable(first: bigint, shift: number, entries: number): void {
    this.#pieces = []
    this.#perPage = 2 ** -shift
    this.first = first
    this.firstHi = Number(first >> 32n) | 0
    this.shift = shift
    this.entries = entries
  }
  disable(): void {
    this.#pieces = []
    this.entries = 0
  }
  /** Entry of a bus address, of which bits inside a page are ignored; -1: not in this table. */
  indexOf(hi: number, lo: number): number {
    const index = Math.floor((((hi >>> 0) - (this.firstHi >>> 0)) * 0x1_0000_0000 + (lo >>> 0)) * this.#perPage)
    return index >= 0 && index < this.entries ? index : -1
  }
  /** Reads an entry into `hi` and `lo`. */
  get(index: number): void {
    const number = Math.floor(index / 4096) // PIECE
    const piece = number < this.#pieces.length ? this.#pieces[number] : undefined
    const at = (index - number * 4096) * 2
    this.lo = piece ? (piece[at] as number) : 0
    this.hi = piece ? (piece[at + 1] as number) : 0
  }
  put(index: number, hi: number, lo: number): void {
    const number = Math.floor(index / PIECE)
    let piece = this.#pieces[number]
    if (!piece) {
      if (hi === 0 && lo === 0) return
      this.#pieces[number] = piece = new Int32Array(PIECE * 2)
    }
    const at = (index % PIECE) * 2
    piece[at] = lo
    piece[at + 1] = hi
  }
  /** Writes one value to entries that all exist. */
  fill(index: number, count: number, hi: number, lo: number): void {
    for (let i = index; i < index + count;) {
      const n = Math.min(index + count - i, PIECE - (i % PIECE))
      if (hi !== 0 || lo !== 0) for (let k = 0; k < n; k++) this.put(i + k, hi, lo)
      else if (n === PIECE) this.#drop(i / PIECE)
      else this.#pieces[Math.floor(i / PIECE)]?.fill(0, (i % PIECE) * 2, (i % PIECE) * 2 + n * 2)
      i += n
    }
  }
  #drop(number: number): void {
    if (number < this.#pieces.length) this.#pieces[number] = undefined
  }
}
