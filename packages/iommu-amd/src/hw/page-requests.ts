/** The page request log: what devices ask the operating system for; 48882 "Peripheral Page Request (PPR) Logging". */
import { bitsOf, type HostMemory, NO_PASID, type PageRequest } from '@ioasis/core'
import { EVENT_CODE, EVENT_FLAG } from '../spec/event.ts'
import { PPR_PAGE_SERVICE_REQUEST } from '../spec/page-request.ts'
import { CTRL, STATUS } from '../spec/registers.ts'
import type { DevicePorts } from './device-ports.ts'
import { DTE, DTE_MORE, DTE_WORDS_SHIFT } from './dte-cache.ts'
import type { EventLog } from './event-log.ts'
import { reason } from './fault.ts'
import type { UnitInterrupts } from './message.ts'
import type { Refusals } from './refusals.ts'
import type { AmdRegisters } from './registers.ts'
import { LogRing } from './ring.ts'
import type { TranslationCaches } from './translation-caches.ts'

/** A function beyond the device table. */
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)

/** What the log works with. */
export interface PageRequestParts {
  readonly memory: HostMemory
  readonly registers: AmdRegisters
  readonly caches: TranslationCaches
  readonly events: EventLog
  readonly interrupts: UnitInterrupts
  readonly ports: DevicePorts
  readonly refusals: Refusals
}

/** The page request side of one unit. */
export class PageRequests {
  readonly ring: LogRing
  readonly #parts: PageRequestParts

  constructor(parts: PageRequestParts) {
    this.#parts = parts
    this.ring = new LogRing(parts.memory, parts.registers, {
      base: 'PPRBASE',
      head: 'PPRHEAD',
      tail: 'PPRTAIL',
      overflow: bitsOf(STATUS.PPROverflow),
      run: bitsOf(STATUS.PPRLogRun),
      interrupt: bitsOf(STATUS.PPRInt),
    })
    parts.registers.onWrite('PPRBASE', () => this.ring.restart())
  }

  /** @returns whether it stands in the log; else the unit has answered with Response Failure */
  request(request: PageRequest): boolean {
    const { registers, interrupts, ports } = this.#parts
    if (!this.#permitted(request)) return this.#fail(request)
    if ((registers.lo('CTRL') & bitsOf(CTRL.PPREn)) === 0) return this.#fail(request)
    const outcome = this.#append(request)
    if (outcome === 'off') return this.#fail(request)
    // Software may answer within the interrupt.
    if (outcome !== 'lost') ports.wait(request)
    if (registers.lo('CTRL') & bitsOf(CTRL.PPRIntEn)) interrupts.send('XT_PPR')
    return outcome === 'lost' ? this.#fail(request) : true
  }

  /** The function's entry allows page requests; else the event log tells. */
  #permitted(request: PageRequest): boolean {
    const { caches, events } = this.#parts
    const { requester, pasid } = request
    if (this.#parts.refusals.device(requester, request.write, ABSENT, 0, 0) !== 0) return false
    const words = caches.devices.bus(requester)
    const at = (requester & 0xff) << DTE_WORDS_SHIFT
    if ((words[at] as number) & DTE.V && (words[at + 5] as number) & DTE_MORE.PPR) return true
    const status = reason(EVENT_CODE.INVALID_PPR_REQUEST, pasid === NO_PASID ? 0 : EVENT_FLAG.GN)
    events.recordPageRequest(status, requester, tagOf(request), Math.max(pasid, 0), request.iova & ~0xfffn)
    return false
  }
  #append(request: PageRequest): 'logged' | 'lost' | 'off' {
    const { requester, pasid, iova } = request
    const id = Math.max(pasid, 0)
    const flags =
      (request.exec ? 1 << 17 : 0) |
      (request.read ? 1 << 18 : 0) |
      (request.write ? 1 << 21 : 0) |
      (request.priv ? 0 : 1 << 22) |
      (pasid === NO_PASID ? 0 : 1 << 24)
    const lo0 = (requester & 0xffff) | ((id & 0xffff) << 16)
    const hi0 = tagOf(request) | ((id >>> 16) << 10) | flags | (PPR_PAGE_SERVICE_REQUEST << 28)
    const [hi, lo] = halves(iova)
    return this.ring.append(lo0, hi0, lo & ~0xfff, hi, true)
  }
  #fail(request: PageRequest): boolean {
    if (request.last) request.respond('failure')
    return false
  }
}

/** `PPR.Tag` with `PPR.Last` above it. */
const tagOf = ({ group, last }: PageRequest): number => (group & 0x1ff) | (last ? 0x200 : 0)
const halves = (value: bigint): readonly [hi: number, lo: number] => [
  Number(BigInt.asIntN(32, value >> 32n)),
  Number(BigInt.asIntN(32, value)),
]
