/**
 * The context cache: context entries as the unit understood them, by requester id. It keeps every one until a command names
 * it. Entries are four words, so that a translation reads them without a call:
 *
 * `[0]` flags (`CTX`), levels in bits 6:4, domain id in 31:16 · `[1]`, `[2]` top table, low and high word ·
 * `[3]` the bits of a request's high word that lie beyond its width.
 *
 * A dropped entry leaves its domain id behind in `former`: IOTLB entries that the function filled under it are still its
 * own until an IOTLB command names them, as in hardware with a first-level TLB per function.
 */
import type { Bdf } from '@ioasis/core'

/** Flags of word 0. */
export const CTX = {
  VALID: 1,
  /** Fault Processing Disable. */
  FPD: 2,
  /** The device may use translated requests (TT 01). */
  DEVICE_TLB: 4,
  /** Untranslated requests pass through (TT 10). */
  PASS_THROUGH: 8,
  /** The function was in another domain whose IOTLB entries were not invalidated since; see `former`. */
  MOVED: 0x80,
} as const

/** Words per entry, as a shift. */
export const CTX_SHIFT = 2
/** Tables of the entry, 3 to 5. */
export const ctxLevels = (flags: number): number => (flags >>> 4) & 7
/** Domain id of the entry. */
export const ctxDomain = (flags: number): number => flags >>> 16

const WORDS = 256 << CTX_SHIFT
const NOTHING = new Int32Array(WORDS)

/** The context cache of one unit. */
export class ContextCache {
  /** Entries of each bus; `NOTHING` until one is cached. */
  readonly buses: Int32Array[] = Array.from({ length: 256 }, () => NOTHING)
  /** Domain id that a requester's dropped entry had, until the IOTLB entries of that domain are invalidated. */
  readonly former: Map<Bdf, number> = new Map()
  /** The requester that `recall` found last, if its entry is still the same, else -1; and the owner word of its IOTLB entries. */
  recent: Bdf = -1
  recentOwner = 0
  /** Requester bits that tag an IOTLB entry beside the domain id. */
  readonly #tagMask: number

  /** @param tagMask requester bits that tag an IOTLB entry beside the domain id */
  constructor(tagMask = 0) {
    this.#tagMask = tagMask
  }

  /**
   * Remembers a requester whose untranslated requests take the plain way: cached, translated, not between two domains.
   * @returns false when its entry is none of that
   */
  recall(requester: Bdf): boolean {
    const flags = (this.buses[(requester >>> 8) & 0xff] as Int32Array)[(requester & 0xff) << CTX_SHIFT] as number
    if ((flags & (CTX.VALID | CTX.PASS_THROUGH | CTX.MOVED)) !== CTX.VALID) return false
    this.recent = requester
    this.recentOwner = (flags & -0x1_0000) | (requester & this.#tagMask)
    return true
  }

  /** Keeps `entry` for a requester. @param entry four words */
  put(requester: Bdf, entry: Int32Array): void {
    const bus = (requester >>> 8) & 0xff
    let words = this.buses[bus] as Int32Array
    if (words === NOTHING) this.buses[bus] = words = new Int32Array(WORDS)
    const at = (requester & 0xff) << CTX_SHIFT
    this.recent = -1
    words.set(entry, at)
    const former = this.former.get(requester)
    if (former === ctxDomain(entry[0] as number)) this.former.delete(requester)
    else if (former !== undefined) words[at] = (words[at] as number) | CTX.MOVED
  }
  /** Nothing is left of a requester's former domain: its entry is an ordinary one. @param flags its word 0 */
  settled(requester: Bdf, flags: number): void {
    ;(this.buses[(requester >>> 8) & 0xff] as Int32Array)[(requester & 0xff) << CTX_SHIFT] = flags & ~CTX.MOVED
  }
  /** The IOTLB entries of a domain are gone: nobody was in it any more. */
  forgetFormer(domain: number): void {
    for (const [requester, domainId] of this.former) if (domainId === domain) this.former.delete(requester)
  }
  /** Everything is gone, former domains included: the IOTLB is empty. */
  reset(): void {
    for (const words of this.buses) if (words !== NOTHING) words.fill(0)
    this.former.clear()
    this.recent = -1
  }

  dropAll(): void {
    for (let bus = 0; bus < 256; bus++) {
      if (this.buses[bus] !== NOTHING) for (let devfn = 0; devfn < 256; devfn++) this.#drop((bus << 8) | devfn)
    }
  }
  /** Drops the entries of one domain. */
  dropDomain(domain: number): void {
    for (let bus = 0; bus < 256; bus++) {
      const words = this.buses[bus] as Int32Array
      if (words === NOTHING) continue
      for (let devfn = 0; devfn < 256; devfn++) {
        if (ctxDomain(words[devfn << CTX_SHIFT] as number) === domain) this.#drop((bus << 8) | devfn)
      }
    }
  }
  /**
   * Drops the entry of one function, or of several that differ in function number only.
   * @param functionMask FM: 0 to 3 function bits from the top that are not compared
   */
  dropDevice(requester: Bdf, functionMask: number): void {
    const bus = requester & 0xff00
    if (this.buses[bus >>> 8] === NOTHING) return
    const compared = 0xff & ~(7 & ~(7 >>> functionMask))
    for (let devfn = 0; devfn < 256; devfn++) {
      if (((devfn ^ requester) & compared) === 0) this.#drop(bus | devfn)
    }
  }

  /** Entries held: for tests and listings. */
  get size(): number {
    let n = 0
    for (const words of this.buses) {
      if (words === NOTHING) continue
      for (let at = 0; at < WORDS; at += 1 << CTX_SHIFT) n += (words[at] as number) & CTX.VALID
    }
    return n
  }

  #drop(requester: Bdf): void {
    const words = this.buses[requester >>> 8] as Int32Array
    const at = (requester & 0xff) << CTX_SHIFT
    const flags = words[at] as number
    // While the function is already moving, its oldest domain is the one with stale leaves.
    if (flags & CTX.VALID && !this.former.has(requester)) this.former.set(requester, ctxDomain(flags))
    words[at] = 0
    this.recent = -1
  }
}
