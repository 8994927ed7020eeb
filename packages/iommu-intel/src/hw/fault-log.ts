/**
 * Fault recording registers and the fault status; Intel VT-d r4.1 "Primary Fault Logging" and "Fault Event".
 *
 * Records are filled in a ring. A fault whose turn falls on a record that is still pending is lost and sets PFO; from then
 * on nothing is recorded until software clears PFO. The event is sent when the status goes from nothing pending to something.
 */
import { ACCESS, bitsOf, type DmaRequest, get, NO_PASID, put } from '@ioasis/core'
import { FRCD, FSTS } from '../spec/registers.ts'
import { EventInterrupt, type Raise } from './event-interrupt.ts'
import type { RegisterName, VtdRegisters } from './registers.ts'

const PFO = bitsOf(FSTS.PFO)
const PPF = bitsOf(FSTS.PPF)
/** Any of these set: an event was sent, or waits behind the mask. */
const PENDING = PFO | PPF | bitsOf(FSTS.IQE) | bitsOf(FSTS.ICE) | bitsOf(FSTS.ITE)
const F = bitsOf(FRCD.F)

/** What the specification leaves open, or QEMU does otherwise. */
export interface FaultLogOptions {
  /** A fault of a requester whose record is still pending is dropped silently: allowed, QEMU does it. */
  readonly collapse: boolean
  /** An event held back behind the mask is sent although its record was freed meanwhile: QEMU does it. */
  readonly staleEvents: boolean
}

/** A unit's faults. */
export class FaultLog {
  readonly #registers: VtdRegisters
  readonly #options: FaultLogOptions
  readonly #event: EventInterrupt
  readonly #lo: readonly RegisterName[]
  readonly #hi: readonly RegisterName[]
  /** Record that the next fault takes. */
  #next = 0
  /** Oldest pending record; meaningful while PPF is set. */
  #oldest = 0

  /** @param count fault recording registers */
  constructor(registers: VtdRegisters, count: number, raise: Raise, options: FaultLogOptions) {
    this.#registers = registers
    this.#options = options
    this.#event = new EventInterrupt(
      registers,
      { control: 'FECTL', data: 'FEDATA', address: 'FEADDR', upper: 'FEUADDR' },
      raise,
    )
    this.#lo = Array.from({ length: count }, (_, i): RegisterName => `FRCD${i}.lo`)
    this.#hi = Array.from({ length: count }, (_, i): RegisterName => `FRCD${i}.hi`)
    for (const name of this.#hi) registers.onWrite(name, () => this.#freed())
    registers.onWrite('FSTS', () => this.#withdrawIfIdle())
  }

  /**
   * Records why `request` was refused.
   * @param reason fault reason
   * @param addressType one of `ADDRESS_TYPE`
   */
  record(request: DmaRequest, reason: number, addressType: number): void {
    const registers = this.#registers
    const status = registers.lo('FSTS')
    if (status & PFO) return
    if (this.#options.collapse && this.#pendingFrom(request.requester)) return
    const hi = this.#hi[this.#next] as RegisterName
    if (registers.hi(hi) & F) {
      registers.set('FSTS', status | PFO)
      return
    }
    registers.set(this.#lo[this.#next] as RegisterName, request.iovaLo & ~0xfff, request.iovaHi)
    registers.set(hi, lowWord(request), highWord(request, reason, addressType))
    if ((status & PPF) === 0) this.#oldest = this.#next
    this.#next = this.#next + 1 === this.#hi.length ? 0 : this.#next + 1
    this.#setStatus(status, PPF)
  }

  /** The invalidation queue stopped. @param bits FSTS bits to set: IQE, ICE or ITE */
  queueError(bits: number): void {
    this.#setStatus(this.#registers.lo('FSTS'), bits)
  }

  #setStatus(old: number, bits: number): void {
    this.#registers.set('FSTS', put(FSTS.FRI, old | bits, (old | bits) & PPF ? this.#oldest : 0))
    if ((old & PENDING) === 0) this.#event.request()
  }
  #pendingFrom(requester: number): boolean {
    for (const name of this.#hi) {
      const hi = this.#registers.hi(name)
      if (hi & F && get(FRCD.SID, this.#registers.lo(name), hi) === (requester & 0xffff)) return true
    }
    return false
  }
  /** Software wrote to a record: PPF and FRI follow the F bits. */
  #freed(): void {
    const count = this.#hi.length
    for (let n = 0; n < count; n++) {
      const i = (this.#oldest + n) % count
      if ((this.#registers.hi(this.#hi[i] as RegisterName) & F) === 0) continue
      this.#oldest = i
      this.#registers.set('FSTS', put(FSTS.FRI, this.#registers.lo('FSTS') | PPF, i))
      return
    }
    this.#registers.set('FSTS', put(FSTS.FRI, this.#registers.lo('FSTS') & ~PPF, 0))
    if (!this.#options.staleEvents && this.#idle) this.#event.lapse()
  }
  get #idle(): boolean {
    return (this.#registers.lo('FSTS') & PENDING) === 0
  }
  #withdrawIfIdle(): void {
    if (this.#idle) this.#event.withdraw()
  }
}

function lowWord(request: DmaRequest): number {
  let word = put(FRCD.SID, 0, request.requester)
  if (request.access === ACCESS.ATOMIC) word = put(FRCD.T2, word, 1)
  if (request.pasid === NO_PASID) return word
  word = put(FRCD.PP, word, 1)
  if (request.exec) word = put(FRCD.EXE, word, 1)
  return request.priv ? put(FRCD.PRIV, word, 1) : word
}
function highWord(request: DmaRequest, reason: number, addressType: number): number {
  let word = put(FRCD.AT, put(FRCD.FR, F, reason), addressType)
  if (request.access !== ACCESS.WRITE) word = put(FRCD.T1, word, 1)
  return request.pasid === NO_PASID ? word : put(FRCD.PV, word, request.pasid)
}
