/** What becomes of requests that are refused: the reason they end with, and what the event log is told. */
import type { Bdf, DmaRequest, Status } from '@ioasis/core'
import { EVENT_CODE, EVENT_FLAG } from '../spec/event.ts'
import { DTE_MORE, type DteCache } from './dte-cache.ts'
import type { DteReader } from './dte-reader.ts'
import type { EventLog } from './event-log.ts'
import { codeOf, flagsOf, QEMU_WANTED, reason } from './fault.ts'
import type { GuestWalk } from './guest-walk.ts'

const { GN, I, NX, RW, US } = EVENT_FLAG

/** A walk through guest tables that failed. */
export interface GuestFault {
  /** Words of the device table cache, and where the function's entry begins. */
  readonly bus: Int32Array
  readonly at: number
  readonly pasid: number
  readonly walk: GuestWalk
}

/** The refusals of one unit. */
export class Refusals {
  readonly #events: EventLog
  readonly #reader: DteReader
  readonly #devices: DteCache
  readonly #qemu: boolean

  constructor(events: EventLog, reader: DteReader, devices: DteCache, qemu: boolean) {
    this.#events = events
    this.#reader = reader
    this.#devices = devices
    this.#qemu = qemu
  }

  /**
   * Makes sure that a requester's entry is cached.
   * @param beyond the reason for an id beyond the table
   * @param hi address of the request
   * @returns 0, or the reason, which stands in the log
   */
  device(requester: Bdf, write: boolean, beyond: number, hi: number, lo: number): number {
    if (!this.#qemu && this.#devices.has(requester)) return 0
    const reader = this.#reader
    const status = reader.read(requester)
    if (status === 0) {
      if (!this.#qemu) this.#devices.put(requester, reader.entry)
      return 0
    }
    const told = (codeOf(status) === EVENT_CODE.IO_PAGE_FAULT ? beyond : status) | (write && !this.#qemu ? RW << 4 : 0)
    if (codeOf(status) === EVENT_CODE.DEV_TAB_HARDWARE_ERROR)
      this.#events.record(told, requester, 0, reader.hpaHi, reader.hpaLo)
    else this.#events.record(told, requester, 0, hi, lo)
    return told
  }

  /** A page fault, logged unless the entry's SA or SE forbids it. */
  fault(request: DmaRequest, status: number, bus: Int32Array, at: number): Status {
    const more = bus[at + 5] as number
    const quiet = !this.#qemu && (more & (DTE_MORE.SA | DTE_MORE.SE)) !== 0
    if (quiet && (more & DTE_MORE.SA || more & DTE_MORE.FAULTED)) return this.withRequest(request, status)
    bus[at + 5] = more | DTE_MORE.FAULTED
    const guest = (flagsOf(status) & GN) !== 0
    const tag = guest ? Math.max(request.pasid, 0) : (bus[at] as number) >>> 16
    return this.refuse(request, status, tag, request.iovaHi, request.iovaLo)
  }
  /** A fault of a walk through guest tables, whose address may be elsewhere. */
  guestFault(request: DmaRequest, status: number, { bus, at, pasid, walk }: GuestFault): Status {
    if (!walk.elsewhere) return this.fault(request, status, bus, at)
    const tag = flagsOf(status) & GN ? pasid : (bus[at] as number) >>> 16
    return this.refuse(request, status, tag, walk.faultHi, walk.faultLo)
  }
  /** @returns the reason with the request's own flags, once it is logged */
  refuse(request: DmaRequest, status: number, tag: number, hi: number, lo: number): Status {
    const told = this.withRequest(request, status)
    if (this.#qemu) this.each(request, () => this.record(request.requester, told, tag, hi, lo))
    else this.record(request.requester, told, tag, hi, lo)
    return told
  }
  /** QEMU's bus takes four bytes at a time, and each of them is refused. */
  each({ length, iovaLo }: DmaRequest, refuse: () => void): void {
    const bytes = Math.min(length, 0x1000 - (iovaLo & 0xfff))
    for (let n = 0; n < bytes; n += 4) refuse()
  }
  /** Logs, and nothing else. */
  record(requester: Bdf, status: number, tag: number, hi: number, lo: number): void {
    this.#events.record(status, requester, tag, hi, lo)
  }
  /** The reason with what the request adds to it. */
  withRequest(request: DmaRequest, status: number): number {
    const write = (request.access & 2) !== 0
    if (this.#qemu) {
      return codeOf(status) === EVENT_CODE.IO_PAGE_FAULT
        ? reason(codeOf(status), I | (write ? QEMU_WANTED.WRITE : QEMU_WANTED.READ))
        : codeOf(status)
    }
    let flags = flagsOf(status) | (write ? RW : 0)
    if (flags & GN) flags |= (request.priv ? 0 : US) | (request.exec ? NX : 0)
    return reason(codeOf(status), flags)
  }
}
