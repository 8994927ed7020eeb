/**
 * The bridge's windows: two for each endpoint, each a TVE, kept decoded as eight words: `[0]`, `[1]` address bits inside a page,
 * low and high · `[2]` log2 of a page, 0 for a window that goes through untranslated or is absent · `[3]` levels, 0 for no window
 * · `[4]` log2 of a level's entries · `[5]`, `[6]` table, low and high · the last one spare.
 */
import { get, hpaOf } from '@ioasis/core'
import { TVE } from '../spec/tve.ts'
import { ownerOf } from './tce-cache.ts'

/** What a window is. */
export const WINDOW = { ABSENT: 0, UNTRANSLATED: 1, TRANSLATED: 2 } as const

/** The windows of one bridge. */
export class WindowTable {
  readonly words: Int32Array
  /** Owners of the entries that the cache keeps of each window; -1 when there can be none. */
  readonly owners: Int32Array
  readonly #entries: Int32Array
  /** `WINDOW`. */
  readonly kinds: Uint8Array
  /** Bytes of bus addresses, from the window's first one on: what its table covers, or what goes through untranslated. */
  readonly bytes: Float64Array

  /** @param endpoints number of endpoints */
  constructor(endpoints: number) {
    this.words = new Int32Array(endpoints << 4)
    this.#entries = new Int32Array(endpoints << 2)
    this.kinds = new Uint8Array(endpoints << 1)
    this.bytes = new Float64Array(endpoints << 1)
    this.owners = new Int32Array(endpoints << 1).fill(-1)
  }

  /** Writes a TVE; what it says counts at once. @param real bytes of an untranslated window */
  write(window: number, lo: number, hi: number, real = 0): void {
    this.#entries[2 * window] = lo
    this.#entries[2 * window + 1] = hi
    this.kinds[window] = WINDOW.ABSENT
    this.bytes[window] = real
    const { words } = this
    const at = window << 3
    words.fill(0, at, at + 8)
    this.owners[window] = -1
    const size = get(TVE.TABLE_SIZE, lo, hi)
    if (size === 0) return
    words[at + 3] = get(TVE.LEVELS, lo, hi) + 1
    const page = get(TVE.PAGE_SIZE, lo, hi)
    this.kinds[window] = page === 0 ? WINDOW.UNTRANSLATED : WINDOW.TRANSLATED
    if (page === 0) return
    const shift = page + 11
    words[at] = shift >= 32 ? -1 : (1 << shift) - 1
    words[at + 1] = shift > 32 ? (1 << (shift - 32)) - 1 : 0
    words[at + 2] = shift
    words[at + 4] = size + 8
    // TABLE_HI : TABLE_LO is the address >> 12, of 48 bits.
    const table = (get(TVE.TABLE_HI, lo, hi) * 0x1_0000 + get(TVE.TABLE_LO, lo, hi)) * 4096
    words[at + 5] = table | 0
    words[at + 6] = (table / 0x1_0000_0000) | 0
    this.bytes[window] = 2 ** (shift + (words[at + 3] as number) * (size + 8))
    this.owners[window] = ownerOf(window, shift)
  }
  /** The TVE, as it was written. */
  entry(window: number): bigint {
    const [lo, hi] = [this.#entries[2 * window] as number, this.#entries[2 * window + 1] as number]
    return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)
  }
  /** Where its top table lies. */
  table(window: number): number {
    return hpaOf(this.words[(window << 3) + 6] as number, this.words[(window << 3) + 5] as number)
  }
}
