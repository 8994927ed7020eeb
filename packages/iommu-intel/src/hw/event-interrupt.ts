/** A unit's own interrupt: control, data and address registers; Intel VT-d r4.1 "Fault Event", "Invalidation Completion Event". */
import { bitsOf, join } from '@ioasis/core'
import { EVENT_CONTROL } from '../spec/registers.ts'
import type { RegisterName, VtdRegisters } from './registers.ts'

/** Sends a message signalled interrupt of the unit itself. @param address u64 */
export type Raise = (address: bigint, data: number) => void

const IP = bitsOf(EVENT_CONTROL.IP)
const IM = bitsOf(EVENT_CONTROL.IM)

/** The registers of one event. */
export interface EventRegisters {
  readonly control: RegisterName
  readonly data: RegisterName
  readonly address: RegisterName
  readonly upper: RegisterName
}

/** One event of a unit. While masked it is kept in IP, and sent when software clears the mask. */
export class EventInterrupt {
  readonly #registers: VtdRegisters
  readonly #names: EventRegisters
  readonly #raise: Raise
  /** IP is set, but its condition went away: clearing the mask sends nothing. */
  #lapsed = false

  constructor(registers: VtdRegisters, names: EventRegisters, raise: Raise) {
    this.#registers = registers
    this.#names = names
    this.#raise = raise
    registers.onWrite(names.control, () => this.#unmasked())
  }

  /** The event's condition came up. */
  request(): void {
    this.#lapsed = false
    this.#registers.set(this.#names.control, this.#registers.lo(this.#names.control) | IP)
    this.#unmasked()
  }
  /**
   * The condition went away before the message was sent, and IP is left to be read: recorded units keep it set while the
   * event is masked. The specification withdraws the message, so none is sent later.
   */
  lapse(): void {
    this.#lapsed = true
  }
  /** The condition went away before the message was sent, and IP with it. */
  withdraw(): void {
    this.#registers.set(this.#names.control, this.#registers.lo(this.#names.control) & ~IP)
  }

  #unmasked(): void {
    const { control, data, address, upper } = this.#names
    const registers = this.#registers
    const value = registers.lo(control)
    if ((value & IP) === 0 || (value & IM) !== 0) return
    registers.set(control, value & ~IP)
    if (!this.#lapsed) this.#raise(join(registers.lo(upper), registers.lo(address)), registers.lo(data) >>> 0)
  }
}
