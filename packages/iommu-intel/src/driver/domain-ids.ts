/** The domain ids of one unit: a bitmap of as many as CAP.ND says. Intel VT-d r4.1 "11.4.2 Capability Register", ND. */
import { hex, UapiError } from '@ioasis/core'

/** Tags what passes through untranslated; never a paging domain's (drivers/iommu/intel/iommu.h FLPT_DEFAULT_DID). */
export const IDENTITY_ID = 1
/** The first id a paging domain gets: 0 is what a caching-mode unit tags non-present entries with, 1 is `IDENTITY_ID`. */
export const FIRST_ID = 2

/** Lowest free id first, as the kernel's ida does: an id comes back as soon as its last user is gone. */
export class DomainIds {
  /** Ids in use. */
  used = 0
  readonly count: number
  readonly #unit: string
  readonly #words: Uint32Array
  /** No word before this one has a free id. */
  #from = 0

  /**
   * @param unit for messages
   * @param count ids the unit has, 16 to 65536; the first two are never given out
   */
  constructor(unit: string, count: number) {
    this.#unit = unit
    this.count = count
    this.#words = new Uint32Array(Math.ceil(count / 32))
    this.#words[0] = (1 << FIRST_ID) - 1
    const tail = count & 31
    if (tail) this.#words[this.#words.length - 1] = ((this.#words.at(-1) as number) | (~0 << tail)) >>> 0
  }

  /** Takes the lowest free id. @throws UapiError ENOSPC when all are in use */
  take(): number {
    const words = this.#words
    for (let i = this.#from; i < words.length; i++) {
      const free = ~(words[i] as number)
      if (free === 0) continue
      const bit = 31 - Math.clz32(free & -free)
      words[i] = (words[i] as number) | (1 << bit)
      this.#from = i
      this.used++
      return i * 32 + bit
    }
    throw new UapiError('ENOSPC', `${this.#unit} domain id`, { ids: this.count })
  }

  /** Gives an id back. Nothing may be cached under it any more. @throws Error when it was not taken */
  free(id: number): void {
    const i = id >>> 5
    const bit = 1 << (id & 31)
    if (id < FIRST_ID || id >= this.count || !((this.#words[i] as number) & bit)) {
      throw new Error(`${this.#unit}: domain id ${hex(id)} was not in use`)
    }
    this.#words[i] = (this.#words[i] as number) & ~bit
    this.#from = Math.min(this.#from, i)
    this.used--
  }
}
