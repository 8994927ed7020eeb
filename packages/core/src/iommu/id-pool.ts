/** Ids that are given out and come back, lowest free one first, as the kernel's ida does (lib/idr.c ida_alloc_range). */
import { hex } from '../address.ts'
import { UapiError } from '../errno.ts'

/** A bitmap of ids: domain ids of a unit, or of all units of a vendor. */
export class IdPool {
  /** Ids in use. */
  used = 0
  /** Ids there are, those that are never given out included. */
  readonly count: number
  readonly #what: string
  readonly #first: number
  readonly #words: Uint32Array
  /** No word before this one has a free id. */
  #from = 0

  /**
   * @param what for messages: `dmar0 domain id`
   * @param first the lowest one given out, at most 31
   * @param count one more than the highest
   */
  constructor(what: string, first: number, count: number) {
    this.#what = what
    this.#first = first
    this.count = count
    this.#words = new Uint32Array(Math.ceil(count / 32))
    this.#words[0] = (1 << first) - 1
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
    throw new UapiError('ENOSPC', this.#what, { ids: this.count })
  }

  /** Gives an id back. Nothing may be cached under it any more. @throws Error when it was not taken */
  free(id: number): void {
    const i = id >>> 5
    const bit = 1 << (id & 31)
    if (id < this.#first || id >= this.count || !((this.#words[i] as number) & bit)) {
      throw new Error(`${this.#what} ${hex(id)} was not in use`)
    }
    this.#words[i] = (this.#words[i] as number) & ~bit
    this.#from = Math.min(this.#from, i)
    this.used--
  }
}
