/**
 * The device table cache: entries as the unit understood them, by requester id. It keeps every one until a command names it.
 * Entries are sixteen words, so that a translation reads them without a call:
 *
 * `[0]` flags (`DTE`), levels of the host table in bits 10:8, domain id in 31:16 · `[1]`, `[2]` host table, low and high word ·
 * `[3]`, `[4]` bits of an address, high and low word, beyond the host table · `[5]` more flags (`DTE_MORE`) ·
 * `[6]`, `[7]` the entry's third 64-bit word (interrupts) · `[8]`, `[9]` GCR3 table · `[10]`, `[11]` its fourth 64-bit word.
 */
import type { Bdf } from '@ioasis/core'

/** Flags of word 0. */
export const DTE = {
  /** The entry is cached. */
  CACHED: 1,
  /** Requests without PASID pass untranslated, as far as IR and IW allow. */
  PASS: 2,
  /** Requests without PASID use the host table. */
  TABLES: 4,
  /** Requests without PASID use PASID 0's guest table. */
  GUEST: 8,
  /** Permissions, as `ACCESS` shifted by 4. */
  IR: 0x10,
  IW: 0x20,
  /** The entry's V. */
  V: 0x40,
  /** Mode 0 makes No Snoop requests coherent (Mode0FC). */
  FC: 0x80,
} as const
/** Flags of word 5. */
export const DTE_MORE = {
  /** ATS is allowed. */
  I: 1,
  SE: 2,
  SA: 4,
  EX: 8,
  /** Page tables are read without snooping. */
  SD: 0x10,
  PPR: 0x20,
  /** Guest tables exist for requests with PASID. */
  GV: 0x40,
  /** Accessed and dirty bits of the host table are updated. */
  ACCESSED: 0x80,
  DIRTY: 0x100,
  /** A page fault was logged since the entry was read: with SE no other is. */
  FAULTED: 0x200,
  /** Guest tables have five levels. */
  FIVE_LEVELS: 0x400,
  /** Page responses carry the PASID. */
  GPRP: 0x800,
} as const
/** GCR3 levels less one, of word 5. */
export const glxOf = (more: number): number => (more >>> 12) & 3
/** Levels of the host table, of word 0. */
export const levelsOf = (flags: number): number => (flags >>> 8) & 7

/** Words per entry, as a shift. */
export const DTE_WORDS_SHIFT = 4
const WORDS = 256 << DTE_WORDS_SHIFT
const NOTHING = new Int32Array(WORDS)

/** The device table cache of one unit. */
export class DteCache {
  /** Entries of each bus; `NOTHING` until one is cached. */
  readonly buses: Int32Array[] = Array.from({ length: 256 }, () => NOTHING)
  /** The requester that `recall` found last, if its entry is still the same, else -1; and the owner word of its IOTLB entries. */
  recent: Bdf = -1
  recentOwner = 0
  /** The unit translates; while it does not, nothing is recalled. */
  #on = false
  /** QEMU: functions whose requests are translated, since an INVALIDATE_DEVTAB_ENTRY named them. Their IOTLB entries are tagged by requester. */
  readonly #active: Uint8Array | undefined

  /** @param byRequester QEMU: no entry is kept, and the IOTLB is searched before the entry is read */
  constructor(byRequester: boolean) {
    this.#active = byRequester ? new Uint8Array(0x1_0000) : undefined
  }

  /** IommuEn changed. Entries stay: software invalidates them. */
  switch(on: boolean): void {
    this.#on = on
    this.recent = -1
  }
  /** Remembers a requester whose requests without PASID take the plain way through host tables. @returns false when its do not */
  recall(requester: Bdf): boolean {
    if (!this.#on) return false
    if (this.#active) {
      if (!this.#active[requester & 0xffff]) return false
      this.recentOwner = requester & 0xffff
    } else {
      const flags = (this.buses[(requester >>> 8) & 0xff] as Int32Array)[
        (requester & 0xff) << DTE_WORDS_SHIFT
      ] as number
      if ((flags & (DTE.CACHED | DTE.TABLES)) !== (DTE.CACHED | DTE.TABLES)) return false
      this.recentOwner = flags >>> 16
    }
    this.recent = requester
    return true
  }
  /** QEMU: whether a function's requests are translated. */
  isActive(requester: Bdf): boolean {
    return this.#active === undefined || this.#active[requester & 0xffff] === 1
  }
  /** QEMU: from now on they are, or are not. */
  activate(requester: Bdf, on: boolean): void {
    if (this.#active) this.#active[requester & 0xffff] = on ? 1 : 0
    this.recent = -1
  }

  /** Words of a requester's bus, and where its entry begins: to be read only while it is cached. */
  bus(requester: Bdf): Int32Array {
    return this.buses[(requester >>> 8) & 0xff] as Int32Array
  }
  has(requester: Bdf): boolean {
    return ((this.bus(requester)[(requester & 0xff) << DTE_WORDS_SHIFT] as number) & DTE.CACHED) !== 0
  }
  /** Keeps `entry` for a requester. @param entry sixteen words */
  put(requester: Bdf, entry: Int32Array): void {
    const bus = (requester >>> 8) & 0xff
    let words = this.buses[bus] as Int32Array
    if (words === NOTHING) this.buses[bus] = words = new Int32Array(WORDS)
    this.recent = -1
    words.set(entry, (requester & 0xff) << DTE_WORDS_SHIFT)
  }
  /** Drops the entry of a function. */
  drop(requester: Bdf): void {
    const words = this.bus(requester)
    if (words !== NOTHING) words[(requester & 0xff) << DTE_WORDS_SHIFT] = 0
    this.recent = -1
  }
  dropAll(): void {
    for (const words of this.buses) if (words !== NOTHING) words.fill(0)
    this.recent = -1
  }
  /** Entries held: for tests and listings. */
  get size(): number {
    let n = 0
    for (const words of this.buses) {
      if (words === NOTHING) continue
      for (let at = 0; at < WORDS; at += 1 << DTE_WORDS_SHIFT) n += (words[at] as number) & DTE.CACHED
    }
    return n
  }
}
