/**
 * The bridge's windows: two for each endpoint, each a TVE, kept decoded as eight words: `[0]`, `[1]` address bits inside a page,
 * low and high · `[2]` log2 of a page, 0 for a window that goes through untranslated or is absent · `[3]` owner of its cached
 * entries, -1 when there can be none · `[4]` levels, 0 for no window · `[5]` log2 of a level's entries · `[6]`, `[7]` table.
 */
import { get, hpaOf } from '@ioasis/core'
import { TVE } from '../spec/tve.ts'
import { ownerOf } from './tce-cache.ts'

/** What a window is. */
export const WINDOW = { ABSENT: 0, UNTRANSLATED: 1, TRANSLATED: 2 } as const

/** The windows of one bridge. */
export class WindowTable {
  readonly words: Int32Array
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
    for (let at = 3; at < this.words.length; at += 8) this.words[at] = -1
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
    words[at + 3] = -1
    const size = get(TVE.TABLE_SIZE, lo, hi)
    if (size === 0) return
    words[at + 4] = get(TVE.LEVELS, lo, hi) + 1
    const page = get(TVE.PAGE_SIZE, lo, hi)
    this.kinds[window] = page === 0 ? WINDOW.UNTRANSLATED : WINDOW.TRANSLATED
    if (page === 0) return
    const shift = page + 11
    words[at] = shift >= 32 ? -1 : (1 << shift) - 1
    words[at + 1] = shift > 32 ? (1 << (shift - 32)) - 1 : 0
    words[at + 2] = shift
    words[at + 3] = ownerOf(window, shift)
    words[at + 5] = size + 8
    // TABLE_HI : TABLE_LO is the address >> 12, of 48 bits.
    const table = (get(TVE.TABLE_HI, lo, hi) * 0x1_0000 + get(TVE.TABLE_LO, lo, hi)) * 4096
    words[at + 6] = table | 0
    words[at + 7] = (table / 0x1_0000_0000) | 0
    this.bytes[window] = 2 ** (shift + (words[at + 4] as number) * (size + 8))
  }
  /** The TVE, as it was written. */
  entry(window: number): bigint {
    const [lo, hi] = [this.#entries[2 * window] as number, this.#entries[2 * window + 1] as number]
    return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)
  }
  /** Where its top table lies. */
  table(window: number): number {
    return hpaOf(this.words[(window << 3) + 7] as number, this.words[(window << 3) + 6] as number)
  }
}
