/**
 * The IOTLB: leaves as the unit read them, tagged with the domain id, so that functions of one domain share entries; those of
 * guest tables with the PASID, too. It keeps an entry until a command names it, or until its set is full. A leaf of any size
 * is one entry.
 *
 * One table of four ways per leaf size, made when the first leaf of that size comes. An entry is eight words: `[0]`, `[1]` first
 * address of the leaf, low and high · `[2]` owner: domain id, or the requester in QEMU's personality · `[3]` low word of the first
 * host address, with the `LEAF` flags in its low bits; 0 for an empty entry · `[4]` its high word · `[5]` domain id · `[6]` PASID, -1
 * for entries of host tables. The ways lie one after the other, not the entries of a set, so that neighbouring pages share
 * cache lines.
 */
import { join } from '@ioasis/core'
import { LEAF } from './host-walk.ts'

/** Words per entry as a shift. Loops on the hit and miss paths have it as a literal. */
const ENTRY_SHIFT = 3
const WAYS = 4
/** Bits 11:0 of an entry's word 3 are flags. */
const FRAME = ~0xfff

/** A leaf to keep: a walker after a walk. */
export interface Leaf {
  /** `LEAF` flags, at least one. */
  readonly flags: number
  /** First host address, as two words. */
  readonly frameHi: number
  readonly frameLo: number
}
/** Whose leaf it is. */
export interface LeafOwner {
  readonly owner: number
  readonly domain: number
  readonly pasid: number
}
/** One leaf held, for listings. */
export interface IotlbEntry extends LeafOwner {
  readonly iova: bigint
  readonly bytes: bigint
  readonly hpaHi: number
  readonly hpaLo: number
  readonly flags: number
}

/** The entries of one leaf size. */
export class IotlbTable {
  /** Eight words per entry. */
  readonly words: Int32Array
  /** log2 of the leaf's bytes. */
  readonly shift: number
  /** Address bits inside a leaf, low and high word. */
  readonly insideLo: number
  readonly insideHi: number
  /** Whether anything was kept since the last `dropAll`: a table never used is not searched. */
  used = false
  readonly #setMask: number
  /** Words from one way of a set to the next. */
  readonly #wayWords: number
  /** Way that the next entry of a full set takes. */
  readonly #victims: Uint8Array

  /** @param shift 12 to 63 @param sets a power of two */
  constructor(shift: number, sets: number) {
    this.shift = shift
    this.insideLo = shift >= 32 ? -1 : (1 << shift) - 1
    this.insideHi = shift <= 32 ? 0 : (1 << (shift - 32)) - 1
    this.#setMask = sets - 1
    this.#wayWords = sets << ENTRY_SHIFT
    this.words = new Int32Array(WAYS * this.#wayWords)
    this.#victims = new Uint8Array(sets)
  }

  /** Index of the first word of the entry that covers the address, or -1. */
  find(hi: number, lo: number, owner: number, pasid: number): number {
    const { words } = this
    const tagLo = lo & ~this.insideLo
    const tagHi = hi & ~this.insideHi
    for (let at = this.#set(hi, lo, owner) << 3; at < words.length; at += this.#wayWords) {
      if (words[at] === tagLo && words[at + 1] === tagHi && words[at + 2] === owner && words[at + 3] !== 0)
        if (words[at + 6] === pasid) return at
    }
    return -1
  }

  /** Keeps a leaf. @returns the index of its entry */
  put(hi: number, lo: number, { owner, domain, pasid }: LeafOwner, leaf: Leaf): number {
    const { words } = this
    const tagLo = lo & ~this.insideLo
    const tagHi = hi & ~this.insideHi
    const at = this.#place(this.#set(hi, lo, owner), tagLo, tagHi, owner, pasid)
    words[at] = tagLo
    words[at + 1] = tagHi
    words[at + 2] = owner
    words[at + 3] = leaf.frameLo | leaf.flags
    words[at + 4] = leaf.frameHi
    words[at + 5] = domain
    words[at + 6] = pasid
    this.used = true
    return at
  }

  dropAll(): void {
    if (this.used) this.words.fill(0)
    this.used = false
  }
  /** Drops the entries of a domain, of one PASID, or (undefined) of all. */
  dropDomain(domain: number, pasid: number | undefined): void {
    const { words } = this
    if (!this.used) return
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT)
      if (words[at + 5] === domain && (pasid === undefined || words[at + 6] === pasid)) words[at + 3] = 0
  }
  /** Drops the entries that another translation stands behind. */
  dropNested(domain: number): void {
    const { words } = this
    if (!this.used) return
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT)
      if (words[at + 5] === domain && (words[at + 3] as number) & LEAF.NESTED) words[at + 3] = 0
  }
  /** Drops the entries of an owner (QEMU's: a requester). */
  dropOwner(owner: number): void {
    const { words } = this
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT) if (words[at + 2] === owner) words[at + 3] = 0
  }
  /**
   * Drops the entries of a domain that overlap a naturally aligned range.
   * @param hi first address, high word @param lo low word; bits inside the range are ignored @param order log2 of the range's bytes
   */
  dropRange(domain: number, pasid: number, hi: number, lo: number, order: number): void {
    const { words } = this
    if (!this.used) return
    const bits = Math.max(order, this.shift)
    const maskHi = bits <= 32 ? -1 : bits >= 64 ? 0 : -1 << (bits - 32)
    const maskLo = bits >= 32 ? 0 : -1 << bits
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT) {
      if (words[at + 3] === 0) continue
      const differs = (((words[at] as number) ^ lo) & maskLo) | (((words[at + 1] as number) ^ hi) & maskHi)
      if (differs === 0 && words[at + 5] === domain && words[at + 6] === pasid) words[at + 3] = 0
    }
  }
  /** The one entry that a single owner has for an address, cleared: the fast way when few sets can hold it. */
  dropOne(hi: number, lo: number, owner: number, pasid: number): void {
    const at = this.find(hi, lo, owner, pasid)
    if (at >= 0) this.words[at + 3] = 0
  }

  *entries(): Generator<IotlbEntry> {
    const { words } = this
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT) {
      const leaf = words[at + 3] as number
      if (leaf === 0) continue
      yield {
        iova: join(words[at + 1] as number, words[at] as number),
        bytes: 1n << BigInt(this.shift),
        owner: words[at + 2] as number,
        hpaHi: words[at + 4] as number,
        hpaLo: leaf & FRAME,
        flags: leaf & ~FRAME,
        domain: words[at + 5] as number,
        pasid: words[at + 6] as number,
      }
    }
  }

  #set(hi: number, lo: number, owner: number): number {
    const page = this.shift < 32 ? (lo >>> this.shift) ^ hi : hi >>> (this.shift - 32)
    return (page ^ (Math.imul(owner, 0x9e37_79b1) >>> 16)) & this.#setMask
  }
  /** Where an entry goes: over the one with the same tag, else into an empty way, else over the set's next victim. */
  #place(set: number, tagLo: number, tagHi: number, owner: number, pasid: number): number {
    const { words } = this
    let empty = -1
    for (let at = set << 3; at < words.length; at += this.#wayWords) {
      if (words[at + 3] === 0) {
        if (empty < 0) empty = at
      } else if (words[at] === tagLo && words[at + 1] === tagHi && words[at + 2] === owner && words[at + 6] === pasid)
        return at
    }
    if (empty >= 0) return empty
    const way = this.#victims[set] as number
    this.#victims[set] = (way + 1) & 3
    return (set << 3) + way * this.#wayWords
  }
}

/** Above this many pages a range is dropped by looking at every entry. */
const FEW_PAGES_ORDER = 17

/** One IOTLB: of host tables, or of guest tables. */
export class Iotlb {
  readonly pages: IotlbTable = new IotlbTable(12, 512)
  /** Tables of larger leaves, by what was seen. */
  readonly larger: IotlbTable[] = []
  /** Entries are tagged by requester: QEMU does it. */
  readonly #byRequester: boolean

  constructor(byRequester: boolean) {
    this.#byRequester = byRequester
  }

  /** The table for leaves of a size, made if need be. @param shift log2 of its bytes */
  table(shift: number): IotlbTable {
    if (shift === 12) return this.pages
    for (const table of this.larger) if (table.shift === shift) return table
    const made = new IotlbTable(shift, 64)
    this.larger.push(made)
    return made
  }
  /** The table of a leaf above 4 KiB that covers an address and allows the access; undefined: none does. */
  findLarger(hi: number, lo: number, owner: number, pasid: number, access: number): IotlbTable | undefined {
    const { larger } = this
    for (let i = 0; i < larger.length; i++) {
      const table = larger[i] as IotlbTable
      if (!table.used) continue
      const at = table.find(hi, lo, owner, pasid)
      if (at >= 0 && ((table.words[at + 3] as number) & access) === access) return table
    }
    return undefined
  }
  dropAll(): void {
    this.pages.dropAll()
    for (const table of this.larger) table.dropAll()
  }
  /** Drops what a command for a whole domain names. */
  dropDomain(domain: number, pasid?: number): void {
    this.pages.dropDomain(domain, pasid)
    for (const table of this.larger) table.dropDomain(domain, pasid)
  }
  /** Drops guest entries whose host side may have changed. */
  dropNested(domain: number): void {
    this.pages.dropNested(domain)
    for (const table of this.larger) table.dropNested(domain)
  }
  /** Drops the entries of a domain that overlap 2^order bytes. @param lo bits inside the range are ignored */
  dropRange(domain: number, pasid: number, hi: number, lo: number, order: number): void {
    if (this.#byRequester || order > FEW_PAGES_ORDER) this.pages.dropRange(domain, pasid, hi, lo, order)
    else if (this.pages.used) {
      const first = lo & (-1 << order)
      for (let page = 0; page < 1 << (order - 12); page++) this.pages.dropOne(hi, first | (page << 12), domain, pasid)
    }
    for (const table of this.larger) table.dropRange(domain, pasid, hi, lo, order)
  }
  /** Every entry held. */
  *entries(): Generator<IotlbEntry> {
    yield* this.pages.entries()
    for (const table of this.larger) yield* table.entries()
  }
}
