/** Reads a unit's log as software does: Intel's through the fault recording registers, AMD's from the ring in memory. */
import { hex } from '@ioasis/core'
import type { Faults, LogEvent } from './case-file.ts'
import { eventFields, recordFields } from './log-fields.ts'

/** What a log is read through. */
export interface LogAccess {
  loadRegister(offset: number, size: number): bigint
  loadWord(hpa: number): bigint
}

/** A unit's log. Each reading is relative to a mark. */
export interface FaultLog {
  /** Remembers the log as it is: just before an access. */
  mark(): void
  /** What appeared since the mark, and the status registers now. */
  sinceMark(): Faults
  /** What appeared since entries were last listed by `sinceMark` or `sinceListed`. */
  sinceListed(): Faults
  /** The registers were written: pointers may have moved without an entry. */
  registerWritten(offset: number): void
  /** Whether a word of memory belongs to the log, so that a store to it is no surprise. */
  owns(hpa: number): boolean
}

/** Makes the reader for a vendor's log. */
export const faultLog = (iommu: 'intel' | 'amd', access: LogAccess): FaultLog =>
  iommu === 'intel' ? new FaultRegisters(access) : new EventLog(access)

/** Intel VT-d r4.1 "11.4.14 Fault Recording Registers", "11.4.9 Fault Status Register". */
class FaultRegisters implements FaultLog {
  readonly #access: LogAccess
  #marked: readonly boolean[] = []
  #listed: readonly boolean[] = []

  constructor(access: LogAccess) {
    this.#access = access
  }
  mark(): void {
    this.#marked = this.#full()
  }
  sinceMark(): Faults {
    return this.#since(this.#marked)
  }
  sinceListed(): Faults {
    return this.#since(this.#listed)
  }
  registerWritten(): void {
    const now = this.#full()
    this.#listed = this.#listed.map((was, i) => was && now[i] === true)
  }
  owns(): boolean {
    return false
  }

  #since(before: readonly boolean[]): Faults {
    const records = this.#full().flatMap((full, index) => {
      if (!full || before[index]) return []
      const at = this.#first() + 16 * index
      return [{ index, ...recordFields(this.#access.loadRegister(at, 8), this.#access.loadRegister(at + 8, 8)) }]
    })
    this.#listed = this.#full()
    return { records, fsts: hex(this.#access.loadRegister(0x34, 4)) }
  }
  /** F of each record. */
  #full(): readonly boolean[] {
    const count = Number((this.#access.loadRegister(0x08, 8) >> 40n) & 0xffn) + 1
    return Array.from(
      { length: count },
      (_, i) => this.#access.loadRegister(this.#first() + 16 * i + 8, 8) >> 63n === 1n,
    )
  }
  #first(): number {
    return Number((this.#access.loadRegister(0x08, 8) >> 24n) & 0x3ffn) * 16
  }
}

const EVTBASE = 0x10
const EVTTAIL = 0x2018
const STATUS = 0x2020

/** AMD I/O Virtualization Technology Specification, 48882, "Event Log". */
class EventLog implements FaultLog {
  readonly #access: LogAccess
  #marked = 0
  #listed = 0

  constructor(access: LogAccess) {
    this.#access = access
  }
  mark(): void {
    this.#marked = this.#tail()
  }
  sinceMark(): Faults {
    return this.#since(this.#marked)
  }
  sinceListed(): Faults {
    return this.#since(this.#listed)
  }
  registerWritten(offset: number): void {
    if ((offset & ~7) === EVTBASE || (offset & ~7) === EVTTAIL) this.#listed = this.#tail()
  }
  owns(hpa: number): boolean {
    const { base, bytes } = this.#ring()
    return hpa >= base && hpa < base + bytes
  }

  #since(from: number): Faults {
    const { base, bytes } = this.#ring()
    const tail = this.#tail()
    const events: LogEvent[] = []
    for (let at = from; at !== tail && events.length < bytes / 16; at = (at + 16) % bytes) {
      events.push(eventFields(this.#access.loadWord(base + at), this.#access.loadWord(base + at + 8)))
    }
    this.#listed = tail
    return { events, evtTail: hex(tail), status: hex(this.#access.loadRegister(STATUS, 8)) }
  }
  #tail(): number {
    return Number(this.#access.loadRegister(EVTTAIL, 8) & 0x7_fff0n)
  }
  #ring(): { readonly base: number; readonly bytes: number } {
    const word = this.#access.loadRegister(EVTBASE, 8)
    return { base: Number(word & 0xf_ffff_ffff_f000n), bytes: 16 << Number((word >> 56n) & 0xfn) }
  }
}
