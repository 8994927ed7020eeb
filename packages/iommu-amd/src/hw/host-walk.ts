/**
 * Walks host page tables; 48882 "I/O Page Tables for Host Translations". Each entry names the level of the next table, so that
 * levels may be skipped; a leaf may stand at any level, and may name its own size. The order of checks at each entry: present,
 * reserved bits, permission, leaf size or next level, skipped address bits.
 */
import type { HostMemory } from '@ioasis/core'
import { EVENT_CODE, EVENT_FLAG, MASTER_ABORTED } from '../spec/event.ts'
import { sizedLeafShift } from '../spec/host-page-table.ts'
import type { DirectoryCache } from './directory-cache.ts'
import { reason } from './fault.ts'

const OK = 0
const PRESENT = reason(EVENT_CODE.IO_PAGE_FAULT, EVENT_FLAG.PR)
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)
const DENIED = reason(EVENT_CODE.IO_PAGE_FAULT, EVENT_FLAG.PR | EVENT_FLAG.PE)
const RESERVED = reason(EVENT_CODE.IO_PAGE_FAULT, EVENT_FLAG.PR | EVENT_FLAG.RZ)
const UNREADABLE = reason(EVENT_CODE.PAGE_TAB_HARDWARE_ERROR, MASTER_ABORTED)
/** Reserved bits, high word: 56:52 everywhere, and 60:59 (FC and U of leaves) in directory entries. */
const LEAF_RESERVED = 0x01f0_0000
const DIRECTORY_RESERVED = 0x19f0_0000

/** Flags of a found leaf, and of an IOTLB entry: permissions as in `ACCESS`, and what else a leaf says. */
export const LEAF = {
  READ: 1,
  WRITE: 2,
  /** FC: No Snoop is overridden. */
  SNOOP: 4,
  /** The U attribute of ATS answers. */
  U: 8,
  /** Nothing is there: an absent entry that was cached (NpCache). */
  ABSENT: 0x10,
  /** Another translation stands behind a guest's: an invalidation of host pages drops it. */
  NESTED: 0x20,
} as const

/** An entry that a walk read, for people. */
export interface TrailEntry {
  readonly kind: 'host' | 'gcr3' | 'guest'
  readonly level: number
  readonly index: number
  readonly hpaHi: number
  readonly hpaLo: number
  readonly lo: number
  readonly hi: number
}

/** What a walk starts from. */
export interface HostTable {
  /** Top table, and its levels, 1 to 6. */
  rootHi: number
  rootLo: number
  levels: number
  domain: number
  /** Permissions of the DTE, as `ACCESS`. */
  permitted: number
  /** Table reads are snooped. */
  snooped: boolean
  /** Accessed, dirty bits are updated. */
  accessed: boolean
  dirty: boolean
}

/** The walker of one unit; the last answer stays in its fields. */
export class HostWalk {
  readonly table: HostTable = {
    rootHi: 0,
    rootLo: 0,
    levels: 0,
    domain: 0,
    permitted: 0,
    snooped: true,
    accessed: false,
    dirty: false,
  }
  /** First address of the leaf. */
  frameHi = 0
  frameLo = 0
  /** log2 of its bytes. */
  shift = 12
  /** `LEAF` flags. */
  flags = 0
  /** The entry that could not be read. */
  faultHi = 0
  faultLo = 0
  /** Where entries are told to people; then no cache is used and nothing is updated. */
  trail: TrailEntry[] | undefined
  readonly #memory: HostMemory
  readonly #words: HostMemory['words']
  readonly #directories: DirectoryCache
  readonly #beyondHi: number
  readonly #qemu: boolean

  constructor(memory: HostMemory, directories: DirectoryCache, paBits: number, qemu: boolean) {
    this.#memory = memory
    this.#words = memory.words
    this.#directories = directories
    this.#beyondHi = paBits >= 52 ? 0 : (-1 << (paBits - 32)) & 0xf_ffff
    this.#qemu = qemu
  }

  /**
   * Walks from `table`. Constants are literals in the loop: V8 loads and checks what a module imports on each use.
   * @param access permissions wanted; what is missing refuses, unless `probe`
   * @param probe an ATS request: missing permissions are told in `flags`
   * @returns 0 with the leaf in the fields, or a fault reason without the flags of the request
   */
  walk(iovaHi: number, iovaLo: number, access: number, probe: boolean): number {
    const { table } = this
    const words = this.#words
    const qemu = this.#qemu
    const directories = this.#directories
    const told = this.trail !== undefined
    let level = table.levels
    let lo = table.rootLo
    let hi = table.rootHi
    let permitted = table.permitted
    let upper = 3
    if ((permitted & access) !== access && !probe && !qemu) return DENIED
    if (level > 1 && !qemu && !told && directories.find(table.domain, iovaHi, iovaLo)) {
      const left = permitted & directories.permitted
      if ((left & access) === access) {
        permitted = left
        upper = directories.permitted
        level = 1
        lo = directories.tableLo
        hi = directories.tableHi
      }
    }
    for (;;) {
      const index = tableIndex(level, iovaHi, iovaLo)
      const at = lo | (index << 3)
      const tableHi = hi
      // `chunkIndex` and `CHUNK_MASK`, as literals.
      const chunk = tableHi >>> 17 === 0 ? (tableHi << 14) | (lo >>> 18) : 0x7fff_ffff
      const view = chunk < words.length ? words[chunk] : undefined
      if (view !== undefined) {
        const word = (at & 0x3_ffff) >>> 2
        lo = view[word] as number
        hi = view[word + 1] as number
      } else if (this.#memory.loadEntry(tableHi, at, table.snooped)) {
        lo = this.#memory.entryLo
        hi = this.#memory.entryHi
      } else {
        this.faultHi = tableHi
        this.faultLo = at
        return UNREADABLE
      }
      if (told) this.#tell(level, index, tableHi, at, lo, hi)
      if ((lo & 1) === 0) return ABSENT
      const next = (lo >>> 9) & 7
      const isLeaf = next === 0 || next === 7
      if (!qemu && hi & ((isLeaf ? LEAF_RESERVED : DIRECTORY_RESERVED) | this.#beyondHi)) return RESERVED
      const own = (hi >>> 29) & 3
      permitted &= own
      if (qemu ? permitted === 0 || (isLeaf && (own & access) !== access) : (permitted & access) !== access && !probe)
        return DENIED
      if ((table.accessed || table.dirty) && !told) {
        this.#update(tableHi, at, lo, hi, isLeaf, isLeaf && table.dirty && (access & permitted & 2) !== 0)
      }
      if (isLeaf) return this.#leaf(level, next, lo, hi, iovaLo, qemu ? own : permitted, access)
      if (next >= level) return PRESENT
      if (next < level - 1 && !qemu && skipped(level, next, iovaHi, iovaLo)) return PRESENT
      lo &= ~0xfff
      hi &= 0xf_ffff
      level = next
      upper &= own
      if (level === 1 && !qemu && !told) directories.put(table.domain, iovaHi, iovaLo, hi, lo, upper)
    }
  }

  #leaf(
    level: number,
    next: number,
    lo: number,
    hi: number,
    iovaLo: number,
    permitted: number,
    access: number,
  ): number {
    let shift = 12 + 9 * (level - 1)
    // "Page Table Level Parameters": level 6 has no leaves, whose pages would be larger than physical memory.
    if (level === 6 && !this.#qemu) return PRESENT
    if (next === 7) {
      const sized = sizedLeafShift(hi & 0xf_ffff, lo)
      // The size lies between that of this level's entries and that of the next level's.
      if (sized === undefined || (!this.#qemu && (sized <= shift || sized >= shift + 9))) return PRESENT
      shift = sized
    }
    this.shift = shift
    const maskLo = shift >= 32 ? 0 : -1 << shift
    const maskHi = shift <= 32 ? -1 : shift >= 64 ? 0 : -1 << (shift - 32)
    this.frameLo = lo & ~0xfff & maskLo
    this.frameHi = hi & 0xf_ffff & maskHi
    let flags = permitted
    if (hi & 0x1000_0000) flags |= LEAF.SNOOP
    if (hi & 0x0800_0000) flags |= LEAF.U
    // A write through a cached entry would not set D: keep it readable only until a write walks again.
    if (this.table.dirty && (lo & 0x40) === 0 && (access & 2) === 0) flags &= ~LEAF.WRITE
    this.flags = flags
    return OK
  }

  #update(tableHi: number, at: number, lo: number, hi: number, isLeaf: boolean, dirty: boolean): void {
    const set = lo | (this.table.accessed ? 0x20 : 0) | (isLeaf && dirty ? 0x40 : 0)
    if (set !== lo) this.#memory.storeEntry(tableHi, at, set, hi, this.table.snooped)
  }
  #tell(level: number, index: number, hpaHi: number, hpaLo: number, lo: number, hi: number): void {
    this.trail?.push({ kind: 'host', level, index, hpaHi, hpaLo, lo, hi })
  }
}

/** Index into the table of a level, 1 for the last one. */
export function tableIndex(level: number, iovaHi: number, iovaLo: number): number {
  if (level === 1) return (iovaLo >>> 12) & 511
  if (level === 2) return (iovaLo >>> 21) & 511
  if (level === 3) return ((iovaHi << 2) | (iovaLo >>> 30)) & 511
  return (level === 4 ? iovaHi >>> 7 : level === 5 ? iovaHi >>> 16 : iovaHi >>> 25) & 511
}

/** Whether address bits that the levels between two tables would translate are set. */
function skipped(level: number, next: number, iovaHi: number, iovaLo: number): boolean {
  for (let between = level - 1; between > next; between--) if (tableIndex(between, iovaHi, iovaLo) !== 0) return true
  return false
}
