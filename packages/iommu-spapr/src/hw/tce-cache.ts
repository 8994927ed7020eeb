/**
 * The bridge's TCE cache: entries as they were read, kept until a kill names them or their set is full. An entry stands for a
 * page, or for the GiB around the address of a larger one. Entries that allow nothing are never kept.
 *
 * Two ways of 512 sets, one way after the other. An entry is eight words: `[0]`, `[1]` first address of its part on the bus,
 * low and high · `[2]` owner, 0 when empty · `[3]`, `[4]` the TCE, low and high · the others spare.
 */
import { type Claim, hpaOf, join } from '@ioasis/core'
import { TCE } from '../spec/tce.ts'

/** Sets, and words of a way. `Phb.translate` has them as literals. */
const SETS = 512
const WAY_WORDS = SETS << 3
const WORDS = 2 * WAY_WORDS

/** log2 of the most that one entry stands for. */
export const PART_SHIFT = 30
/** The owner of entries: their window, and in the low 6 bits log2 of the bytes each stands for. Never 0. */
export const ownerOf = (window: number, pageShift: number): number => (window << 6) | Math.min(pageShift, PART_SHIFT)
const windowOf = (owner: number): number => owner >>> 6
/** A word shifted by an owner is shifted by its low 5 bits alone. */
const partOf = (owner: number): number => 1 << owner
const setOf = (hi: number, lo: number, owner: number): number => ((lo >>> owner) ^ hi ^ (owner >>> 2)) & (SETS - 1)

/** The cache of one bridge. */
export class TceCache {
  readonly words: Int32Array = new Int32Array(WORDS)
  /** Way that the next entry of a full set takes. */
  readonly #victims = new Uint8Array(SETS)

  /** Keeps the entry of an address. */
  put(hi: number, lo: number, owner: number, tceHi: number, tceLo: number): void {
    const { words } = this
    const set = setOf(hi, lo, owner)
    const tag = lo & -partOf(owner)
    const first = set << 3
    let at = first
    if (words[at + 2] !== 0 && !this.#holds(at, hi, tag, owner)) {
      at += WAY_WORDS
      if (words[at + 2] !== 0 && !this.#holds(at, hi, tag, owner)) {
        at = first + (this.#victims[set] as number) * WAY_WORDS
        this.#victims[set] = (this.#victims[set] as number) ^ 1
      }
    }
    words[at] = tag
    words[at + 1] = hi
    words[at + 2] = owner
    words[at + 3] = tceLo
    words[at + 4] = tceHi
  }
  /** The entry of an address, as an index into `words`; -1: none. */
  find(hi: number, lo: number, owner: number): number {
    const tag = lo & -partOf(owner)
    for (let at = setOf(hi, lo, owner) << 3; at < WORDS; at += WAY_WORDS) if (this.#holds(at, hi, tag, owner)) return at
    return -1
  }
  /** Drops the entry of an address. */
  drop(hi: number, lo: number, owner: number): void {
    const at = this.find(hi, lo, owner)
    if (at >= 0) this.words[at + 2] = 0
  }
  /** Drops what an endpoint has within [first, last]. */
  dropRange(pe: number, first: bigint, last: bigint): void {
    this.#each((at, owner) => {
      if (windowOf(owner) >>> 1 !== pe) return
      const iova = this.#iova(at)
      if (iova <= last && iova + BigInt(partOf(owner)) > first) this.words[at + 2] = 0
    })
  }
  /** Drops all of an endpoint. */
  dropEndpoint(pe: number): void {
    this.#each((at, owner) => {
      if (windowOf(owner) >>> 1 === pe) this.words[at + 2] = 0
    })
  }
  dropAll(): void {
    this.words.fill(0)
  }

  /** One claim per entry; the tag is the window. */
  claims(unit: string): readonly Claim[] {
    const claims: Claim[] = []
    this.#each((at, owner) => {
      const lo = this.words[at + 3] as number
      claims.push({
        kind: 'cached',
        unit,
        tag: windowOf(owner),
        iova: this.#iova(at),
        bytes: BigInt(partOf(owner)),
        hpa: hpaOf((this.words[at + 4] as number) & 0xf_ffff, lo & ~0xfff),
        write: (lo & TCE.WRITE) !== 0,
      })
    })
    return claims
  }

  #holds(at: number, tagHi: number, tagLo: number, owner: number): boolean {
    const { words } = this
    return words[at] === tagLo && words[at + 1] === tagHi && words[at + 2] === owner
  }
  #iova(at: number): bigint {
    return join(this.words[at + 1] as number, this.words[at] as number)
  }
  #each(visit: (at: number, owner: number) => void): void {
    for (let at = 0; at < WORDS; at += 8) {
      const owner = this.words[at + 2] as number
      if (owner !== 0) visit(at, owner)
    }
  }
}
