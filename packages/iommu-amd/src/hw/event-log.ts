/** The event log: what software is told about refused requests and commands; 48882 "Event Logging". */
import { type Bdf, bitsOf, type HostMemory } from '@ioasis/core'
import { EVENT_CODE, MASTER_ABORTED } from '../spec/event.ts'
import { CTRL, HWEVT_STATUS, STATUS } from '../spec/registers.ts'
import { codeOf, flagsOf } from './fault.ts'
import type { UnitInterrupts } from './message.ts'
import type { AmdRegisters } from './registers.ts'
import { LogRing } from './ring.ts'

/** Events that the hardware event registers keep as well (EFR.HESup). */
const HARDWARE_EVENTS: ReadonlySet<number> = new Set([
  EVENT_CODE.DEV_TAB_HARDWARE_ERROR,
  EVENT_CODE.PAGE_TAB_HARDWARE_ERROR,
  EVENT_CODE.COMMAND_HARDWARE_ERROR,
])

/** The event log of one unit. */
export class EventLog {
  readonly ring: LogRing
  readonly #registers: AmdRegisters
  readonly #interrupts: UnitInterrupts
  readonly #qemu: boolean
  readonly #hardwareEvents: boolean

  constructor(
    memory: HostMemory,
    registers: AmdRegisters,
    interrupts: UnitInterrupts,
    options: { readonly qemu: boolean; readonly hardwareEvents: boolean },
  ) {
    this.#registers = registers
    this.#interrupts = interrupts
    this.#qemu = options.qemu
    this.#hardwareEvents = options.hardwareEvents
    this.ring = new LogRing(memory, registers, {
      base: 'EVTBASE',
      head: 'EVTHEAD',
      tail: 'EVTTAIL',
      overflow: bitsOf(STATUS.EventOverflow),
      run: bitsOf(STATUS.EventLogRun),
      interrupt: bitsOf(STATUS.EventLogInt),
    })
    registers.onWrite('EVTBASE', () => this.ring.restart())
  }

  /**
   * Logs an event.
   * @param status `reason`
   * @param requester 0 for events of commands
   * @param tag domain id, or a PASID where the flags have GN
   * @param addressHi second word of the entry, high and low half
   */
  record(status: number, requester: Bdf, tag: number, addressHi: number, addressLo: number): void {
    // QEMU tells nothing of what kind a hardware error was.
    const flags = flagsOf(status) & (this.#qemu ? ~MASTER_ABORTED : -1)
    const lo0 = (requester & 0xffff) | (((tag >>> 16) & 0xf) << 16)
    const hi0 = (tag & 0xffff) | (flags << 16) | (codeOf(status) << 28)
    // QEMU's address field stays 0, and so does the domain; of page faults it tells device and function alone.
    const walked = codeOf(status) === EVENT_CODE.IO_PAGE_FAULT || codeOf(status) === EVENT_CODE.PAGE_TAB_HARDWARE_ERROR
    if (this.#qemu) this.#append(requester & (walked ? 0xff : 0xffff), (flags << 16) | (codeOf(status) << 28), 0, 0)
    else this.#append(lo0, hi0, addressLo, addressHi)
    if (this.#hardwareEvents && HARDWARE_EVENTS.has(codeOf(status))) this.#keep(lo0, hi0, addressLo, addressHi)
  }

  /**
   * Logs a page request that is refused (INVALID_PPR_REQUEST), laid out as drivers/iommu/amd/iommu.c iommu_print_event reads it.
   * @param tag the request's group, and 0x200 for the last one of it
   * @param pasid 0 for none
   */
  recordPageRequest(status: number, requester: Bdf, tag: number, pasid: number, iova: bigint): void {
    const lo0 = (requester & 0xffff) | (pasid << 16)
    const hi0 = (tag & 0x3ff) | (((pasid >>> 16) & 0xf) << 10) | (flagsOf(status) << 16) | (codeOf(status) << 28)
    this.#append(lo0, hi0, Number(BigInt.asIntN(32, iova)), Number(BigInt.asIntN(32, iova >> 32n)))
  }

  #append(lo0: number, hi0: number, lo1: number, hi1: number): void {
    const asked = (this.#registers.lo('CTRL') & bitsOf(CTRL.EventIntEn)) !== 0
    const outcome = this.ring.append(lo0, hi0, lo1, hi1, asked || !this.#qemu)
    if (outcome !== 'off' && asked) this.#interrupts.send('XT_GENERAL')
  }
  /** 48882 "IOMMU Hardware Event Registers": the first event stays until software frees it. */
  #keep(lo0: number, hi0: number, lo1: number, hi1: number): void {
    const registers = this.#registers
    const status = registers.lo('HWEVT_STATUS')
    if (status & bitsOf(HWEVT_STATUS.HEV)) {
      registers.set('HWEVT_STATUS', status | bitsOf(HWEVT_STATUS.HEO))
      return
    }
    registers.set('HWEVT_HI', lo1, hi1)
    registers.set('HWEVT_LO', lo0, hi0)
    registers.set('HWEVT_STATUS', status | bitsOf(HWEVT_STATUS.HEV))
  }
}
