/** What each command does; 48882 "Command Buffer". Completion stores are snooped. */
import { bitsOf, type Clock, get, type HostMemory, join, NO_PASID } from '@ioasis/core'
import { COMMAND0, COMMAND1, COMMAND_RESERVED, OPCODE } from '../spec/command.ts'
import { EVENT_CODE, MASTER_ABORTED } from '../spec/event.ts'
import { CTRL, INV_TIMEOUT_MS, STATUS } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'
import type { DevicePorts } from './device-ports.ts'
import type { EventLog } from './event-log.ts'
import { reason } from './fault.ts'
import type { UnitInterrupts } from './message.ts'
import type { AmdRegisters } from './registers.ts'
import { sizeOrder, type TranslationCaches } from './translation-caches.ts'

const COM_WAIT_INT = bitsOf(STATUS.ComWaitInt)
const ILLEGAL = reason(EVENT_CODE.ILLEGAL_COMMAND_ERROR)
const UNREADABLE = reason(EVENT_CODE.COMMAND_HARDWARE_ERROR, MASTER_ABORTED)
const TIMEOUT = reason(EVENT_CODE.IOTLB_INV_TIMEOUT)

/** What became of a command: a blocked one is tried again later, a stopped one ends the processor. */
export type Outcome = typeof DONE | typeof BLOCKED | typeof STOPPED
export const DONE = 0
export const BLOCKED = 1
export const STOPPED = 2

/** What commands work with. */
export interface CommandParts {
  readonly memory: HostMemory
  readonly registers: AmdRegisters
  readonly caps: Capabilities
  readonly caches: TranslationCaches
  readonly events: EventLog
  readonly interrupts: UnitInterrupts
  readonly ports: DevicePorts
  /** Time-outs of device TLBs; without it there are none. */
  readonly clock: Clock | undefined
}

/** The commands of one unit. */
export class Commands {
  /** Invalidations of device TLBs that are not answered. */
  #outstanding = 0
  readonly #parts: CommandParts
  /** Illegal commands are told and passed over, some of them run all the same. */
  readonly #qemu: boolean
  readonly #resume: () => void
  /** Where the command in hand lies. */
  #atHi = 0
  #atLo = 0

  /** @param resume called when a device has answered, or will not: what was blocked may go on */
  constructor(parts: CommandParts, qemu: boolean, resume: () => void) {
    this.#parts = parts
    this.#qemu = qemu
    this.#resume = resume
  }

  /**
   * Runs one command.
   * @param words four, the lowest first
   * @param hi where it lies, for events
   */
  execute(words: Int32Array, hi: number, lo: number): Outcome {
    const [lo0, hi0, lo1, hi1] = words as unknown as [number, number, number, number]
    this.#atHi = hi
    this.#atLo = lo
    const opcode = get(COMMAND0.Opcode, lo0, hi0)
    const reserved = COMMAND_RESERVED[opcode]
    const unknown = !reserved || opcode === 0
    const wrong =
      unknown || ((lo0 & reserved[0]) | (hi0 & reserved[1]) | (lo1 & reserved[2]) | (hi1 & reserved[3])) !== 0
    if (this.#qemu) {
      // The opcode stands where flags would.
      if (wrong) this.#parts.events.record(reason(EVENT_CODE.ILLEGAL_COMMAND_ERROR, opcode), 0, 0, 0, 0)
      const runs = !wrong || (!unknown && QEMU_RUNS_ALL_THE_SAME.has(opcode))
      return runs ? this.#dispatch(opcode, lo0, hi0, lo1, hi1) : DONE
    }
    if (wrong || !this.#supported(opcode)) {
      this.#parts.events.record(ILLEGAL, 0, 0, this.#atHi, this.#atLo)
      return STOPPED
    }
    return this.#dispatch(opcode, lo0, hi0, lo1, hi1)
  }
  #supported(opcode: number): boolean {
    const { caps } = this.#parts
    switch (opcode) {
      case OPCODE.INVALIDATE_IOTLB_PAGES:
        return caps.iotlb
      case OPCODE.PREFETCH_IOMMU_PAGES:
        return caps.prefetch
      case OPCODE.COMPLETE_PPR_REQUEST:
        return caps.pageRequests
      case OPCODE.INVALIDATE_IOMMU_ALL:
        return caps.invalidateAll
      default:
        return true
    }
  }

  #dispatch(opcode: number, lo0: number, hi0: number, lo1: number, hi1: number): Outcome {
    const { caches, ports } = this.#parts
    const requester = get(COMMAND0.DeviceId, lo0, hi0)
    switch (opcode) {
      case OPCODE.COMPLETION_WAIT:
        return this.#wait(lo0, hi0, lo1, hi1)
      case OPCODE.INVALIDATE_DEVTAB_ENTRY:
        caches.dropDevice(requester)
        return DONE
      case OPCODE.INVALIDATE_IOMMU_PAGES:
        this.#pages(lo0, hi0, lo1, hi1)
        return DONE
      case OPCODE.INVALIDATE_IOTLB_PAGES:
        this.#device(lo0, hi0, lo1, hi1)
        return DONE
      case OPCODE.INVALIDATE_INTERRUPT_TABLE:
        caches.interrupts.dropDevice(requester)
        return DONE
      case OPCODE.COMPLETE_PPR_REQUEST: {
        const pasid = get(COMMAND1.GN, lo1, hi1) ? get(COMMAND0.PprPasid, lo0, hi0) : NO_PASID
        const tag = get(COMMAND1.CompletionTag, lo1, hi1)
        ports.complete(requester, pasid, tag, get(COMMAND1.ResponseCode, lo1, hi1))
        return DONE
      }
      case OPCODE.INVALIDATE_IOMMU_ALL:
        caches.dropAll()
        return DONE
      default:
        // A prefetch is a hint.
        return DONE
    }
  }

  #pages(lo0: number, hi0: number, lo1: number, hi1: number): void {
    const { caches } = this.#parts
    const domain = get(COMMAND0.DomainId, lo0, hi0)
    const order = get(COMMAND1.S, lo1, hi1) ? sizeOrder(hi1, lo1) : 12
    if (get(COMMAND1.GN, lo1, hi1)) caches.dropGuestPages(domain, get(COMMAND0.Pasid, lo0, hi0), hi1, lo1, order)
    else caches.dropPages(domain, hi1, lo1, order, get(COMMAND1.PDE, lo1, hi1) === 1)
  }

  /** Tells a device to drop translations, and counts until it answers or takes too long. */
  #device(lo0: number, hi0: number, lo1: number, hi1: number): void {
    const { caches, ports } = this.#parts
    const requester = get(COMMAND0.DeviceId, lo0, hi0)
    const order = get(COMMAND1.S, lo1, hi1) ? sizeOrder(hi1, lo1) : 12
    if (this.#qemu) caches.dropRequesterPages(requester, hi1, lo1, order)
    const pasid = get(COMMAND1.GN, lo1, hi1)
      ? (get(COMMAND0.IotlbPasid_19_16, lo0, hi0) << 16) |
        (get(COMMAND0.IotlbPasid_15_8, lo0, hi0) << 8) |
        get(COMMAND0.IotlbPasid_7_0, lo0, hi0)
      : NO_PASID
    const bytes = 1n << BigInt(order)
    const first = (join(hi1, lo1 & ~0xfff) / bytes) * bytes
    let open = true
    const close = (): boolean => {
      if (!open) return false
      open = false
      this.#outstanding--
      return true
    }
    this.#outstanding++
    const cancel = this.#startTimeout(requester, close)
    ports.invalidate(requester, pasid, first, first + bytes - 1n, () => {
      if (!close()) return
      cancel?.()
      this.#resume()
    })
  }
  #startTimeout(requester: number, close: () => boolean): (() => void) | undefined {
    const { registers, clock, events } = this.#parts
    const ms = INV_TIMEOUT_MS[get(CTRL.InvTimeOut, registers.lo('CTRL'), 0)] as number
    if (ms === 0 || !clock) return undefined
    const hi = this.#atHi
    const lo = this.#atLo
    return clock.at(clock.now() + ms, () => {
      if (!close()) return
      events.record(TIMEOUT, requester, 0, hi, lo)
      this.#resume()
    })
  }

  #wait(lo0: number, hi0: number, lo1: number, hi1: number): Outcome {
    if (this.#outstanding > 0) return BLOCKED
    const { memory, registers, events, interrupts } = this.#parts
    if (get(COMMAND0.Store, lo0, hi0)) {
      const at = lo0 & ~7
      if (!memory.storeEntry(hi0 & 0xf_ffff, at, lo1, hi1, true) && !this.#qemu) {
        events.record(UNREADABLE, 0, 0, hi0 & 0xf_ffff, at)
        return STOPPED
      }
    }
    if (get(COMMAND0.Interrupt, lo0, hi0)) {
      registers.set('STATUS', registers.lo('STATUS') | COM_WAIT_INT)
      // QEMU sends it whether asked or not.
      if (this.#qemu || registers.lo('CTRL') & bitsOf(CTRL.ComWaitIntEn)) interrupts.send('XT_GENERAL')
    }
    return DONE
  }
}

const QEMU_RUNS_ALL_THE_SAME: ReadonlySet<number> = new Set([
  OPCODE.COMPLETION_WAIT,
  OPCODE.INVALIDATE_IOMMU_PAGES,
  OPCODE.PREFETCH_IOMMU_PAGES,
  OPCODE.COMPLETE_PPR_REQUEST,
  OPCODE.INVALIDATE_IOMMU_ALL,
])
