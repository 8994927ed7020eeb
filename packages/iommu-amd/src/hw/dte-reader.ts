/** Reads a device table entry and checks it; 48882 "Device Table Entry Format", "ILLEGAL_DEV_TABLE_ENTRY Event". */
import { type Bdf, bitsOf, get, type HostMemory } from '@ioasis/core'
import { DTE0, DTE1, DTE2, DTE3, DTE_RESERVED, dteOffset } from '../spec/device-table.ts'
import { EVENT_CODE, EVENT_FLAG, MASTER_ABORTED } from '../spec/event.ts'
import { CTRL, DEVTAB } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'
import { DTE, DTE_MORE } from './dte-cache.ts'
import { reason } from './fault.ts'
import type { AmdRegisters } from './registers.ts'

const OK = 0
/** The entry cannot be understood; an impossible value, and a reserved bit. */
const ILLEGAL: number = reason(EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY)
const RESERVED: number = reason(EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY, EVENT_FLAG.RZ)
const UNREADABLE: number = reason(EVENT_CODE.DEV_TAB_HARDWARE_ERROR, MASTER_ABORTED)
/** The requester id lies beyond the table. */
const BEYOND: number = reason(EVENT_CODE.IO_PAGE_FAULT)

/** The device table of one unit. The last answer stays in its fields. */
export class DteReader {
  /** Sixteen words as `DteCache` keeps them. */
  readonly entry: Int32Array = new Int32Array(16)
  /** The entry's eight words, low halves first. */
  readonly raw: Int32Array = new Int32Array(8)
  /** Where it lies. */
  hpaHi = 0
  hpaLo = 0
  readonly #memory: HostMemory
  readonly #registers: AmdRegisters
  readonly #caps: Capabilities
  readonly #qemu: boolean

  constructor(memory: HostMemory, registers: AmdRegisters, caps: Capabilities, qemu: boolean) {
    this.#memory = memory
    this.#registers = registers
    this.#caps = caps
    this.#qemu = qemu
  }

  /** Reads the raw words. @returns 0 or a fault reason */
  fetch(requester: Bdf): number {
    const registers = this.#registers
    const lo = registers.lo('DEVTAB')
    const offset = dteOffset(requester & 0xffff)
    // QEMU does not look at the table's size.
    if (!this.#qemu && offset >= (get(DEVTAB.SIZE, lo, 0) + 1) * 4096) return BEYOND
    const first = ((lo & ~0xfff) >>> 0) + offset
    this.hpaHi = (registers.hi('DEVTAB') & 0xf_ffff) + (first > 0xffff_ffff ? 1 : 0)
    this.hpaLo = first | 0
    const snooped = (registers.lo('CTRL') & bitsOf(CTRL.Coherent)) !== 0
    const { raw } = this
    for (let i = 0; i < 4; i++) {
      if (!this.#memory.loadEntry(this.hpaHi, (this.hpaLo + i * 8) | 0, snooped)) return UNREADABLE
      raw[2 * i] = this.#memory.entryLo
      raw[2 * i + 1] = this.#memory.entryHi
    }
    return OK
  }

  /** Reads the entry of a function into `entry`. @returns 0 or a fault reason, without the flags of the request */
  read(requester: Bdf): number {
    const status = this.fetch(requester)
    return status === OK ? this.#understand() : status
  }

  #understand(): number {
    const { raw, entry } = this
    const [lo0, hi0, lo1, hi1, lo2, hi2, lo3, hi3] = raw as unknown as readonly number[] as Eight
    entry.fill(0)
    entry[6] = lo2
    entry[7] = hi2
    entry[10] = lo3
    entry[11] = hi3
    if (this.#qemu && this.#hasReserved(4)) return RESERVED & 0xf
    if ((lo0 & bitsOf(DTE0.V)) === 0) {
      entry[0] = DTE.CACHED | DTE.PASS | DTE.IR | DTE.IW
      return OK
    }
    if (!this.#qemu && (this.#hasReserved(2) || this.#hasUnsupported(lo0, hi0))) return RESERVED
    entry[0] = DTE.CACHED | DTE.V | ((hi0 >>> 25) & (DTE.IR | DTE.IW)) | (get(DTE1.DomainId, lo1, hi1) << 16)
    entry[5] = this.#more(lo0, hi0, lo1, hi1)
    if (get(DTE0.TV, lo0, hi0) === 0) return OK
    const host = this.#hostTable(lo0, hi0)
    return host === OK ? this.#guestTable(lo1, hi1, hi2, hi3) : host
  }

  #more(lo0: number, hi0: number, lo1: number, hi1: number): number {
    const had = get(DTE0.HAD, lo0, hi0)
    return (
      (hi1 & 7) |
      (get(DTE1.EX, lo1, hi1) ? DTE_MORE.EX : 0) |
      (get(DTE1.SD, lo1, hi1) ? DTE_MORE.SD : 0) |
      (get(DTE0.PPR, lo0, hi0) ? DTE_MORE.PPR : 0) |
      (get(DTE0.GPRP, lo0, hi0) ? DTE_MORE.GPRP : 0) |
      (had & 1 && this.#caps.hostAccessed ? DTE_MORE.ACCESSED : 0) |
      (had === 3 && this.#caps.hostDirty ? DTE_MORE.DIRTY : 0)
    )
  }

  #hostTable(lo0: number, hi0: number): number {
    const { entry } = this
    const mode = get(DTE0.Mode, lo0, hi0)
    if (mode === 0) {
      entry[0] = (entry[0] as number) | DTE.PASS
      return OK
    }
    // QEMU refuses mode 7 without an event, and knows no other limit.
    if (mode > (this.#qemu ? 6 : this.#caps.hostLevels)) return this.#qemu ? OK : ILLEGAL
    entry[0] = (entry[0] as number) | DTE.TABLES | (mode << 8)
    entry[1] = lo0 & ~0xfff
    entry[2] = hi0 & 0xf_ffff
    const width = 12 + 9 * mode
    entry[3] = width >= 64 ? 0 : width <= 32 ? -1 : -1 << (width - 32)
    entry[4] = width >= 32 ? 0 : -1 << width
    return OK
  }

  #guestTable(lo1: number, hi1: number, hi2: number, hi3: number): number {
    const { entry, raw } = this
    const hi0 = raw[1] as number
    if (get(DTE3.Mode0FC, 0, hi3) && (entry[0] as number) & DTE.PASS) entry[0] = (entry[0] as number) | DTE.FC
    const on = (this.#registers.lo('CTRL') & bitsOf(CTRL.GTEn)) !== 0
    if (!on || get(DTE0.GV, 0, hi0) === 0 || this.#qemu) return OK
    const glx = get(DTE0.GLX, 0, hi0)
    const paging = get(DTE2.GuestPagingMode, 0, hi2)
    if (glx > this.#caps.maxGlx || 4 + paging > this.#caps.guestLevels) return ILLEGAL
    entry[8] =
      (get(DTE0.GCR3_14_12, 0, hi0) << 12) |
      (get(DTE1.GCR3_30_15, lo1, hi1) << 15) |
      (get(DTE1.GCR3_51_31, lo1, hi1) << 31)
    entry[9] = get(DTE1.GCR3_51_31, lo1, hi1) >>> 1
    entry[5] = (entry[5] as number) | DTE_MORE.GV | (glx << 12) | (paging ? DTE_MORE.FIVE_LEVELS : 0)
    if (get(DTE0.GIOV, 0, hi0)) {
      entry[0] = ((entry[0] as number) & ~(DTE.PASS | DTE.TABLES)) | DTE.GUEST
      if (levels(entry) === 0) entry[0] |= DTE.PASS
    }
    return OK
  }

  /** Reserved bits of the first `count` 64-bit words. */
  #hasReserved(count: number): boolean {
    for (let i = 0; i < count; i++) {
      const [lo, hi] = DTE_RESERVED[i] as readonly [number, number]
      if (((this.raw[2 * i] as number) & lo) | ((this.raw[2 * i + 1] as number) & hi)) return true
    }
    return false
  }
  /** Fields of the first word that belong to a feature this unit lacks are reserved. */
  #hasUnsupported(lo0: number, hi0: number): boolean {
    const { pageRequests, guest, giov, hostAccessed } = this.#caps
    const reserved =
      (pageRequests ? 0 : bitsOf(DTE0.PPR)) |
      (guest ? 0 : bitsOf(DTE0.GPRP) | bitsOf(DTE0.GV) | bitsOf(DTE0.GLX)) |
      (giov ? 0 : bitsOf(DTE0.GIOV))
    return ((hi0 & reserved) | (hostAccessed ? 0 : lo0 & bitsOf(DTE0.HAD))) !== 0
  }

  /** Reserved bits of the third and fourth word: they count for interrupts. */
  interruptReserved(words: Int32Array, at: number): boolean {
    const [lo2, hi2] = DTE_RESERVED[2] as readonly [number, number]
    const [lo3, hi3] = DTE_RESERVED[3] as readonly [number, number]
    return (
      (((words[at + 6] as number) & lo2) |
        ((words[at + 7] as number) & hi2) |
        ((words[at + 10] as number) & lo3) |
        ((words[at + 11] as number) & hi3)) !==
      0
    )
  }
}

type Eight = readonly [number, number, number, number, number, number, number, number]
const levels = (entry: Int32Array): number => ((entry[0] as number) >>> 8) & 7
