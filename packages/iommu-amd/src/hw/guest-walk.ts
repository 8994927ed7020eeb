/**
 * Walks guest tables: GCR3 table, then long-mode tables of 4 or 5 levels; 48882 "Guest and Nested Address Translation". Where the
 * host has tables of its own, all that the guest's tables name (the root of the GCR3 table aside, unless CTRL.GCR3TRPMode)
 * are guest-physical addresses, which the host's tables translate.
 */
import type { DmaRequest, HostMemory } from '@ioasis/core'
import { EVENT_CODE, EVENT_FLAG, MASTER_ABORTED } from '../spec/event.ts'
import type { Capabilities } from './capabilities.ts'
import { DTE_MORE, glxOf, levelsOf } from './dte-cache.ts'
import { flagsOf, reason } from './fault.ts'
import { type HostWalk, LEAF, tableIndex, type TrailEntry } from './host-walk.ts'

const OK = 0
const { GN, PR, PE, RZ } = EVENT_FLAG
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT, GN)
const DENIED = reason(EVENT_CODE.IO_PAGE_FAULT, GN | PR | PE)
const RESERVED = reason(EVENT_CODE.IO_PAGE_FAULT, GN | PR | RZ)
const UNREADABLE = reason(EVENT_CODE.PAGE_TAB_HARDWARE_ERROR, GN | MASTER_ABORTED)
/** Low address bits that are reserved in 2 MiB and 1 GiB leaves: all inside the leaf but bit 12 (PAT). */
const LARGE_RESERVED: readonly number[] = [0, 0, 0x1f_e000, 0x3fff_e000]

/** The walker of one unit; the last answer stays in its fields. */
export class GuestWalk {
  frameHi = 0
  frameLo = 0
  shift = 12
  flags = 0
  /** What the event's address is: the request's own (false), or `faultHi`, `faultLo`: an entry, or a guest-physical address. */
  elsewhere = false
  faultHi = 0
  faultLo = 0
  /** As in `HostWalk`. */
  trail: TrailEntry[] | undefined
  readonly #memory: HostMemory
  readonly #host: HostWalk
  readonly #caps: Capabilities
  readonly #beyondHi: number
  /** The system-physical address of the last `#system`, and the entry of the last `#load`. */
  #hi = 0
  #lo = 0
  #entryHi = 0
  #entryLo = 0

  constructor(memory: HostMemory, host: HostWalk, caps: Capabilities) {
    this.#memory = memory
    this.#host = host
    this.#caps = caps
    this.#beyondHi = caps.paBits >= 52 ? 0 : (-1 << (caps.paBits - 32)) & 0xf_ffff
  }

  /**
   * Translates for a PASID. `host.table` holds the host's side.
   * @param words of the DTE cache @param at index of the entry among them
   * @param rootTranslated the GCR3 table lies at a guest-physical address
   * @param probe as in `HostWalk.walk`
   * @returns 0 or a fault reason without the flags of the request
   */
  walk(
    words: Int32Array,
    at: number,
    pasid: number,
    request: DmaRequest,
    rootTranslated: boolean,
    probe: boolean,
  ): number {
    const more = words[at + 5] as number
    this.elsewhere = false
    if (pasid >>> Math.min(9 * (glxOf(more) + 1), this.#caps.pasidBits)) return ABSENT
    const levels = more & DTE_MORE.FIVE_LEVELS ? 5 : 4
    if (!canonical(request.iovaHi, levels)) return ABSENT
    let lo = words[at + 8] as number
    let hi = words[at + 9] as number
    for (let level = glxOf(more); level >= 0; level--) {
      const index = (pasid >>> (9 * level)) & 511
      const top = level === glxOf(more)
      const status = this.#load(hi, lo | (index << 3), !top || rootTranslated, 1)
      if (status !== OK) return status
      this.#tell('gcr3', level + 1, index)
      lo = this.#entryLo
      hi = this.#entryHi
      if ((lo & 1) === 0) return ABSENT
      lo &= ~0xfff
      hi &= 0xf_ffff
    }
    return this.#tables(levels, hi, lo, request, probe, levelsOf(words[at] as number) > 0)
  }

  #tables(
    levels: number,
    rootHi: number,
    rootLo: number,
    request: DmaRequest,
    probe: boolean,
    nested: boolean,
  ): number {
    const { access, iovaHi, iovaLo } = request
    let lo = rootLo
    let hi = rootHi
    // R/W, U/S and the absence of NX, each ANDed over the levels.
    let writable = true
    let user = true
    let executable = true
    for (let level = levels; ; level--) {
      const index = tableIndex(level, iovaHi, iovaLo)
      const entryHi = hi
      const entryLo = lo | (index << 3)
      const status = this.#load(hi, entryLo, true, 1)
      if (status !== OK) return status
      this.#tell('guest', level, index)
      const atHi = this.#hi
      const atLo = this.#lo
      lo = this.#entryLo
      hi = this.#entryHi
      if ((lo & 1) === 0) return ABSENT
      const isLeaf = level === 1 || (lo & 0x80) !== 0
      if (isLeaf && level > 3) return RESERVED
      if (hi & this.#beyondHi || (isLeaf && lo & (LARGE_RESERVED[level] as number))) return RESERVED
      if (hi < 0 && !this.#caps.noExecute) return RESERVED
      writable &&= (lo & 2) !== 0
      user &&= (lo & 4) !== 0
      executable &&= hi >= 0
      if (isLeaf) {
        if (!this.#allowed(request, writable, user, executable) && !probe) return DENIED
        const dirty = writable && (access & 2) !== 0
        const marked = this.#mark(entryHi, entryLo, atHi, atLo, lo | (dirty ? 0x60 : 0x20), lo, hi)
        if (marked !== OK) return marked
        const usable = this.#allowed(request, true, user, executable)
        // A write through a cached entry would not set D: it is readable only until a write walks again.
        const write = writable && (dirty || (lo & 0x40) !== 0)
        this.shift = 12 + 9 * (level - 1)
        this.flags = usable ? LEAF.READ | (write ? LEAF.WRITE : 0) : 0
        return this.#behind(hi & 0xf_ffff, lo & ~0xfff & (-1 << this.shift), request, probe, nested)
      }
      const marked = this.#mark(entryHi, entryLo, atHi, atLo, lo | 0x20, lo, hi)
      if (marked !== OK) return marked
      lo &= ~0xfff
      hi &= 0xf_ffff
    }
  }

  /** Whether the leaf's own rights suffice. */
  #allowed(request: DmaRequest, writable: boolean, user: boolean, executable: boolean): boolean {
    if (request.access & 2 && !writable) return false
    if (request.exec && !executable) return false
    return request.priv || user || !this.#caps.userSupervisor
  }

  /** The host's side of the guest's leaf. */
  #behind(hi: number, lo: number, request: DmaRequest, probe: boolean, nested: boolean): number {
    const host = this.#host
    const inside = this.shift >= 32 ? -1 : (1 << this.shift) - 1
    const gpaLo = lo | (request.iovaLo & inside)
    if (!nested) {
      const permitted = host.table.permitted
      if (!probe && (permitted & request.access) !== request.access) return DENIED
      this.frameHi = hi
      this.frameLo = lo
      this.flags &= permitted
      return OK
    }
    const status = host.walk(hi, gpaLo, request.access, probe)
    if (status !== OK) return this.#hostFault(status, hi, gpaLo)
    this.flags = (this.flags & host.flags & 3) | (host.flags & ~3) | LEAF.NESTED
    const shift = Math.min(this.shift, host.shift)
    // The address of the smaller of both pages.
    const offset = host.shift >= 32 ? -1 : (1 << host.shift) - 1
    const mask = shift >= 32 ? 0 : -1 << shift
    this.frameLo = (host.frameLo | (gpaLo & offset)) & mask
    this.frameHi = host.shift > 32 ? host.frameHi | (hi & ((1 << (host.shift - 32)) - 1)) : host.frameHi
    this.shift = shift
    return OK
  }

  /** Reads an entry, at a guest-physical address if the host translates. */
  #load(hi: number, lo: number, guestPhysical: boolean, access: number): number {
    const status = this.#system(hi, lo, guestPhysical, access)
    if (status !== OK) return status
    const memory = this.#memory
    // `chunkIndex` and `CHUNK_MASK`, as literals.
    const chunk = this.#hi >>> 17 === 0 ? (this.#hi << 14) | (this.#lo >>> 18) : 0x7fff_ffff
    const view = chunk < memory.words.length ? memory.words[chunk] : undefined
    if (view !== undefined) {
      const word = (this.#lo & 0x3_ffff) >>> 2
      this.#entryLo = view[word] as number
      this.#entryHi = view[word + 1] as number
      return OK
    }
    if (memory.loadEntry(this.#hi, this.#lo, this.#host.table.snooped)) {
      this.#entryLo = memory.entryLo
      this.#entryHi = memory.entryHi
      return OK
    }
    this.elsewhere = true
    this.faultHi = this.#hi
    this.faultLo = this.#lo
    return UNREADABLE
  }
  /** Where an entry lies, into `#hi`, `#lo`. */
  #system(hi: number, lo: number, guestPhysical: boolean, access: number): number {
    const host = this.#host
    if (!guestPhysical || host.table.levels === 0) {
      this.#hi = hi
      this.#lo = lo
      return OK
    }
    const status = host.walk(hi, lo, access, false)
    if (status !== OK) return this.#hostFault(status, hi, lo)
    const inside = host.shift >= 32 ? -1 : (1 << host.shift) - 1
    this.#lo = host.frameLo | (lo & inside)
    this.#hi = host.shift > 32 ? host.frameHi | (hi & ((1 << (host.shift - 32)) - 1)) : host.frameHi
    return OK
  }
  /** Sets accessed and dirty bits; the host must allow the write. */
  #mark(guestHi: number, guestLo: number, atHi: number, atLo: number, wanted: number, lo: number, hi: number): number {
    if (wanted === lo || this.trail !== undefined) return OK
    if (this.#host.table.levels > 0) {
      const status = this.#system(guestHi, guestLo, true, 2)
      if (status !== OK) return status
    }
    this.#memory.storeEntry(atHi, atLo, wanted, hi, this.#host.table.snooped)
    return OK
  }
  /** The host's tables refused: the event tells the guest-physical address, or the entry that could not be read. */
  #hostFault(status: number, hi: number, lo: number): number {
    const unreadable = (status & 0xf) === EVENT_CODE.PAGE_TAB_HARDWARE_ERROR
    this.elsewhere = true
    this.faultHi = unreadable ? this.#host.faultHi : hi
    this.faultLo = unreadable ? this.#host.faultLo : lo
    return reason(status & 0xf, flagsOf(status))
  }
  #tell(kind: 'gcr3' | 'guest', level: number, index: number): void {
    if (this.trail === undefined) return
    this.trail.push({ kind, level, index, hpaHi: this.#hi, hpaLo: this.#lo, lo: this.#entryLo, hi: this.#entryHi })
  }
}

/** A guest-virtual address repeats its highest translated bit. */
function canonical(iovaHi: number, levels: number): boolean {
  const sign = iovaHi >> (levels === 5 ? 24 : 15)
  return sign === 0 || sign === -1
}
