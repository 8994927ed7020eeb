/**
 * The IOTLB: leaves as the unit read them, tagged with the domain id, so that functions of one domain share entries. It
 * keeps an entry until a command names it, or until its set is full. A leaf of any size is one entry. Absent leaves are
 * never kept.
 *
 * One table of four ways per leaf size. An entry is eight words, two of them spare: `[0]`, `[1]` first address of the leaf,
 * low and high · `[2]` owner · `[3]` low word of the first host address, with the `LEAF` flags in its low bits; 0 for an
 * empty entry · `[4]` its high word · `[5]` the requester that filled it. The ways lie one after the other, not the entries
 * of a set, so that neighbouring pages share cache lines.
 */
import { type DmaRequest, join } from '@ioasis/core'
import { LEAF } from './walk.ts'

/** Words per entry as a shift. Loops on the hit and miss paths have it as a literal. */
const ENTRY_SHIFT = 3
const WAYS = 4
/** Bits 11:0 of an entry's word 3 are flags. */
const FRAME = ~0xfff

/** A leaf to keep: `SecondStageWalk` after a walk. */
export interface Leaf {
  /** `LEAF` flags. */
  readonly flags: number
  /** First host address, as two words. */
  readonly frameHi: number
  readonly frameLo: number
}
/** One leaf held, for listings. */
export interface IotlbEntry {
  /** Domain id in bits 31:16, see `domainOf`. */
  readonly owner: number
  readonly iova: bigint
  readonly bytes: number
  readonly hpaHi: number
  readonly hpaLo: number
  readonly flags: number
}

/** The entries of one leaf size. */
export class IotlbTable {
  /** Eight words per entry. */
  readonly words: Int32Array
  /** Whether anything was kept since the last `dropAll`: a table never used is not searched. */
  used = false
  /** Address bits inside a leaf. */
  readonly offsetMask: number
  readonly #shift: number
  readonly #setMask: number
  /** Words from one way of a set to the next. */
  readonly #wayWords: number
  /** Way that the next entry of a full set takes. */
  readonly #victims: Uint8Array

  /** @param shift log2 of the leaf's bytes, at most 30 @param sets a power of two */
  constructor(shift: number, sets: number) {
    this.#shift = shift
    this.offsetMask = (1 << shift) - 1
    this.#setMask = sets - 1
    this.#wayWords = sets << ENTRY_SHIFT
    this.words = new Int32Array(WAYS * this.#wayWords)
    this.#victims = new Uint8Array(sets)
  }

  /** Index of the first word of the entry that covers the address, or -1. */
  find(hi: number, lo: number, owner: number): number {
    const { words } = this
    const tag = lo & ~this.offsetMask
    for (let at = this.#set(hi, lo, owner) << 3; at < words.length; at += this.#wayWords) {
      if (words[at] === tag && words[at + 1] === hi && words[at + 2] === owner && words[at + 3] !== 0) return at
    }
    return -1
  }

  /** Keeps a leaf. @returns the index of its entry */
  put(request: DmaRequest, owner: number, leaf: Leaf): number {
    const { words } = this
    const { iovaHi: hi, iovaLo: lo } = request
    const tag = lo & ~this.offsetMask
    const at = this.#place(this.#set(hi, lo, owner), tag, hi, owner)
    words[at] = tag
    words[at + 1] = hi
    words[at + 2] = owner
    words[at + 3] = leaf.frameLo | leaf.flags
    words[at + 4] = leaf.frameHi
    words[at + 5] = request.requester & 0xffff
    this.used = true
    return at
  }

  dropAll(): void {
    if (this.used) this.words.fill(0)
    this.used = false
  }
  /** Drops the entries of a domain. */
  dropDomain(domain: number): void {
    const { words } = this
    if (!this.used) return
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT)
      if (domainOf(words[at + 2] as number) === domain) words[at + 3] = 0
  }
  /**
   * Drops the entries of a domain that overlap a naturally aligned range.
   * @param hi first address, high word @param lo low word; bits inside the range are ignored @param order log2 of the range's bytes
   */
  dropRange(domain: number, hi: number, lo: number, order: number): void {
    const { words } = this
    if (!this.used) return
    const bits = Math.max(order, this.#shift)
    const maskHi = bits <= 32 ? -1 : bits >= 64 ? 0 : -1 << (bits - 32)
    const maskLo = bits >= 32 ? 0 : -1 << bits
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT) {
      if (words[at + 3] === 0) continue
      const differs = (((words[at] as number) ^ lo) & maskLo) | (((words[at + 1] as number) ^ hi) & maskHi)
      if (differs === 0 && domainOf(words[at + 2] as number) === domain) words[at + 3] = 0
    }
  }
  /** The one entry that a single owner has for an address, cleared: the fast way when few sets can hold it. */
  dropOne(hi: number, lo: number, owner: number): void {
    const at = this.find(hi, lo, owner)
    if (at >= 0) this.words[at + 3] = 0
  }

  *entries(): Generator<IotlbEntry> {
    const { words } = this
    for (let at = 0; at < words.length; at += 1 << ENTRY_SHIFT) {
      const [lo, hi, owner, leaf, hpaHi] = words.subarray(at, at + 5) as unknown as [
        number,
        number,
        number,
        number,
        number,
      ]
      if (leaf === 0) continue
      yield { owner, iova: join(hi, lo), bytes: this.offsetMask + 1, hpaHi, hpaLo: leaf & FRAME, flags: leaf & ~FRAME }
    }
  }

  #set(hi: number, lo: number, owner: number): number {
    return ((lo >>> this.#shift) ^ hi ^ (Math.imul(owner, 0x9e37_79b1) >>> 16)) & this.#setMask
  }
  /** Where an entry goes: over the one with the same tag, else into an empty way, else over the set's next victim. */
  #place(set: number, tag: number, hi: number, owner: number): number {
    const { words } = this
    let empty = -1
    for (let at = set << 3; at < words.length; at += this.#wayWords) {
      if (words[at + 3] === 0) {
        if (empty < 0) empty = at
      } else if (words[at] === tag && words[at + 1] === hi && words[at + 2] === owner) return at
    }
    if (empty >= 0) return empty
    const way = this.#victims[set] as number
    this.#victims[set] = (way + 1) & 3
    return (set << 3) + way * this.#wayWords
  }
}

/** Domain id of an entry's owner word; the low half holds the requester where the unit tags with it, else 0. */
export const domainOf = (owner: number): number => owner >>> 16

/** Above this many pages a range is dropped by looking at every entry. */
const FEW_PAGES_ORDER = 5

/** The IOTLB of one unit. */
export class Iotlb {
  readonly pages: IotlbTable = new IotlbTable(12, 512)
  /** 2 MiB and 1 GiB leaves. */
  readonly large: IotlbTable = new IotlbTable(21, 64)
  readonly huge: IotlbTable = new IotlbTable(30, 16)
  /** Entries carry the requester, too: QEMU does it. */
  readonly #byRequester: boolean

  constructor(byRequester: boolean) {
    this.#byRequester = byRequester
  }

  /** The table for leaves of a level, 1 to 3. */
  table(level: number): IotlbTable {
    return level === 1 ? this.pages : level === 2 ? this.large : this.huge
  }
  dropAll(): void {
    this.pages.dropAll()
    this.large.dropAll()
    this.huge.dropAll()
  }
  /** Drops what a domain-selective command names. */
  dropDomain(domain: number): void {
    this.pages.dropDomain(domain)
    this.large.dropDomain(domain)
    this.huge.dropDomain(domain)
  }
  /**
   * Drops what a page-selective command names: the entries of a domain that overlap 2^mask pages.
   * @param lo first page, low word; bits inside the range are ignored
   */
  dropPages(domain: number, hi: number, lo: number, mask: number): void {
    if (this.#byRequester || mask > FEW_PAGES_ORDER) this.pages.dropRange(domain, hi, lo, mask + 12)
    else if (this.pages.used) {
      const first = lo & (-1 << (mask + 12))
      for (let i = 0; i < 1 << mask; i++) this.pages.dropOne(hi, first | (i << 12), domain << 16)
    }
    this.large.dropRange(domain, hi, lo, mask + 12)
    this.huge.dropRange(domain, hi, lo, mask + 12)
  }
  /** Every entry held. */
  *entries(): Generator<IotlbEntry> {
    yield* this.pages.entries()
    yield* this.large.entries()
    yield* this.huge.entries()
  }
}

/** Whether an entry or leaf allows writes. */
export const isWritable = (flags: number): boolean => (flags & LEAF.WRITE) !== 0
