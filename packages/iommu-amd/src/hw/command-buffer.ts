/**
 * The command buffer; 48882 "Command Buffer". Commands run in order. One that is illegal, or that cannot be read, is logged and
 * stops the processor: CmdBufRun clears, the head stays on it, and only CTRL.CmdBufEn going from 0 to 1 starts it again.
 */
import { bitsOf, type Clock, get, type HostMemory, join, NO_PASID } from '@ioasis/core'
import { COMMAND0, COMMAND1, COMMAND_RESERVED, COMMAND_SHIFT, OPCODE } from '../spec/command.ts'
import { EVENT_CODE } from '../spec/event.ts'
import { CTRL, INV_TIMEOUT_MS, RING, RING_POINTER_MASK, STATUS } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'
import type { DevicePorts } from './device-ports.ts'
import type { EventLog } from './event-log.ts'
import { reason } from './fault.ts'
import type { UnitInterrupts } from './message.ts'
import type { AmdRegisters } from './registers.ts'
import { sizeOrder, type TranslationCaches } from './translation-caches.ts'

const RUN = bitsOf(STATUS.CmdBufRun)
const COM_WAIT_INT = bitsOf(STATUS.ComWaitInt)
const ILLEGAL = reason(EVENT_CODE.ILLEGAL_COMMAND_ERROR)
const UNREADABLE = reason(EVENT_CODE.COMMAND_HARDWARE_ERROR)
const TIMEOUT = reason(EVENT_CODE.IOTLB_INV_TIMEOUT)

/** What became of a command. */
const DONE = 0
const BLOCKED = 1
const STOPPED = 2

/** How the buffer of a unit behaves. */
export interface CommandBufferOptions {
  /** Commands stay unprocessed until `run`. */
  readonly lag: boolean
  /** QEMU: illegal commands are told and passed over, some of them run all the same; pointers survive a new base. */
  readonly qemu: boolean
}
/** What the buffer works with. */
export interface CommandBufferParts {
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

/** The command processor of one unit. Command reads and completion stores are snooped. */
export class CommandBuffer {
  readonly #parts: CommandBufferParts
  readonly #options: CommandBufferOptions
  #enabled = false
  #running = false
  /** Invalidations of device TLBs that are not answered. */
  #outstanding = 0
  /** The command in hand, and where it lies. */
  readonly #words: Int32Array = new Int32Array(4)
  #atHi = 0
  #atLo = 0

  constructor(parts: CommandBufferParts, options: CommandBufferOptions) {
    this.#parts = parts
    this.#options = options
    const { registers } = parts
    const rung = (): void => {
      if (!options.lag) this.run()
    }
    registers.onWrite('CMDTAIL', rung)
    registers.onWrite('CMDHEAD', rung)
    registers.onWrite('CMDBASE', () => {
      if (options.qemu) return
      registers.set('CMDHEAD', 0, 0)
      registers.set('CMDTAIL', 0, 0)
    })
  }

  /** CTRL.CmdBufEn (with IommuEn) changed. A tail that was written before is worked off at once. */
  enable(on: boolean): void {
    const { registers } = this.#parts
    if (on !== this.#enabled) {
      const status = registers.lo('STATUS')
      registers.set('STATUS', on ? status | RUN : status & ~RUN)
    }
    this.#enabled = on
    if (on && !this.#options.lag) this.run()
  }
  /** Commands queued and not processed, and device TLBs that have not answered: for the audit. */
  get pending(): boolean {
    const { registers } = this.#parts
    return this.#outstanding > 0 || (this.#ready && registers.lo('CMDHEAD') !== registers.lo('CMDTAIL'))
  }

  /** Works the buffer off, up to the tail, the first error, or a wait for devices that have not answered. */
  run(): void {
    // A device that answers at once comes back here while its command is in hand.
    if (this.#running) return
    this.#running = true
    const { registers } = this.#parts
    const mask = (16 << get(RING.LENGTH, 0, registers.hi('CMDBASE'))) - 1
    while (this.#ready) {
      const head = registers.lo('CMDHEAD') & RING_POINTER_MASK & mask
      if (head === (registers.lo('CMDTAIL') & RING_POINTER_MASK & mask)) break
      const outcome = this.#fetch(head) ? this.#execute() : this.#unreadable()
      if (outcome === BLOCKED) break
      if (outcome === STOPPED) {
        registers.set('STATUS', registers.lo('STATUS') & ~RUN)
        break
      }
      registers.set('CMDHEAD', (head + (1 << COMMAND_SHIFT)) & mask, 0)
    }
    this.#running = false
  }

  get #ready(): boolean {
    return this.#enabled && (this.#parts.registers.lo('STATUS') & RUN) !== 0
  }
  #fetch(head: number): boolean {
    const { memory, registers } = this.#parts
    const words = this.#words
    const first = ((registers.lo('CMDBASE') & ~0xfff) >>> 0) + head
    this.#atHi = (registers.hi('CMDBASE') & 0xf_ffff) + (first > 0xffff_ffff ? 1 : 0)
    this.#atLo = first | 0
    for (let i = 0; i < 4; i += 2) {
      if (!memory.loadEntry(this.#atHi, this.#atLo + i * 4, true)) return false
      words[i] = memory.entryLo
      words[i + 1] = memory.entryHi
    }
    return true
  }
  #unreadable(): number {
    this.#parts.events.record(UNREADABLE, 0, 0, this.#atHi, this.#atLo)
    return this.#options.qemu ? DONE : STOPPED
  }

  #execute(): number {
    const [lo0, hi0, lo1, hi1] = this.#words as unknown as [number, number, number, number]
    const opcode = get(COMMAND0.Opcode, lo0, hi0)
    const reserved = COMMAND_RESERVED[opcode]
    const unknown = !reserved || opcode === 0
    const wrong =
      unknown || ((lo0 & reserved[0]) | (hi0 & reserved[1]) | (lo1 & reserved[2]) | (hi1 & reserved[3])) !== 0
    if (this.#options.qemu) {
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

  #dispatch(opcode: number, lo0: number, hi0: number, lo1: number, hi1: number): number {
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
    if (this.#options.qemu) caches.dropRequesterPages(requester, hi1, lo1, order)
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
      this.run()
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
      this.run()
    })
  }

  #wait(lo0: number, hi0: number, lo1: number, hi1: number): number {
    if (this.#outstanding > 0) return BLOCKED
    const { memory, registers, events, interrupts } = this.#parts
    if (get(COMMAND0.Store, lo0, hi0)) {
      const at = lo0 & ~7
      if (!memory.storeEntry(hi0 & 0xf_ffff, at, lo1, hi1, true) && !this.#options.qemu) {
        events.record(UNREADABLE, 0, 0, hi0 & 0xf_ffff, at)
        return STOPPED
      }
    }
    if (get(COMMAND0.Interrupt, lo0, hi0)) {
      registers.set('STATUS', registers.lo('STATUS') | COM_WAIT_INT)
      // QEMU sends it whether asked or not.
      if (this.#options.qemu || registers.lo('CTRL') & bitsOf(CTRL.ComWaitIntEn)) interrupts.send('XT_GENERAL')
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
