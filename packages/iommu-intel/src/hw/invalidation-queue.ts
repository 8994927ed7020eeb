/**
 * The invalidation queue; Intel VT-d r4.1 "Queued Invalidation Interface".
 *
 * Descriptors run in order. One that is illegal, or that cannot be read, stops the queue: IQH stays on it, FSTS.IQE is set,
 * the fault event is sent; the queue goes on at the first write to IQT after software cleared IQE.
 */
import { bitsOf, CHUNK_MASK, chunkIndex, get, type HostMemory, hpaOf, put } from '@ioasis/core'
import { CONTEXT_INV, DESCRIPTOR, DESCRIPTOR_TYPE, IOTLB_INV, RESERVED, WAIT } from '../spec/invalidation-descriptor.ts'
import { FSTS, GRANULARITY, ICS, IQA, IQ_OFFSET_MASK, IQEI, IVA } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'
import { EventInterrupt, type Raise } from './event-interrupt.ts'
import type { FaultLog } from './fault-log.ts'
import type { VtdRegisters } from './registers.ts'
import type { TranslationCaches } from './translation-caches.ts'

const IQE = bitsOf(FSTS.IQE)
const IWC = bitsOf(ICS.IWC)
const OK: number = IQEI.NONE

/** How the queue of a unit behaves. */
export interface InvalidationQueueOptions {
  /** Descriptors stay unprocessed until `run`. */
  readonly lag: boolean
  /** QEMU: disabled only behind a wait descriptor, coarser context commands. */
  readonly qemu: boolean
}

/** What the queue works with. */
export interface InvalidationQueueParts {
  readonly memory: HostMemory
  readonly registers: VtdRegisters
  readonly caps: Capabilities
  readonly caches: TranslationCaches
  readonly faults: FaultLog
  readonly raise: Raise
}

/** The invalidation queue of one unit. Queue reads and status writes are snooped whatever ECAP.C says. */
export class InvalidationQueue {
  readonly #parts: InvalidationQueueParts
  readonly #options: InvalidationQueueOptions
  readonly #completion: EventInterrupt
  readonly #fsts: number
  readonly #iqh: number
  readonly #iqt: number
  #enabled = false
  #baseHi = 0
  #baseLo = 0
  #bytes = 0
  #wide = false
  #head = 0
  #lastType = 0
  /** The tail was written (or the queue enabled) and not looked at since. */
  #rings = false
  /** The descriptor in hand, four 64-bit words. */
  readonly #words: Int32Array = new Int32Array(8)

  constructor(parts: InvalidationQueueParts, options: InvalidationQueueOptions) {
    this.#parts = parts
    this.#options = options
    const { registers, raise } = parts
    this.#completion = new EventInterrupt(
      registers,
      { control: 'IECTL', data: 'IEDATA', address: 'IEADDR', upper: 'IEUADDR' },
      raise,
    )
    this.#fsts = registers.placeOf('FSTS')
    this.#iqh = registers.placeOf('IQH')
    this.#iqt = registers.placeOf('IQT')
    registers.onWrite('IQT', () => this.#rung())
    registers.onWrite('ICS', () => {
      if ((registers.lo('ICS') & IWC) === 0) this.#completion.withdraw()
    })
  }

  /** QIE was set: the queue address is latched, the head is 0. A tail that was written before is worked off at once. */
  enable(): void {
    const { registers, caps } = this.#parts
    const lo = registers.lo('IQA')
    this.#baseHi = registers.hi('IQA')
    this.#baseLo = lo & ~0xfff
    this.#bytes = 4096 << get(IQA.QS, lo, 0)
    this.#wide = caps.scalable && get(IQA.DW, lo, 0) === 1
    this.#enabled = true
    this.#rung()
  }
  /** QIE was cleared. @returns false when the queue stays enabled */
  disable(): boolean {
    this.run()
    const idle = this.#head === this.#tail()
    if (this.#options.qemu && !(idle && this.#lastType === DESCRIPTOR.WAIT)) return false
    this.#enabled = false
    this.#setHead(0)
    return true
  }

  /** Works the queue off, up to the tail or the first error. */
  run(): void {
    const { registers } = this.#parts
    if (!this.#enabled || !this.#rings) return
    this.#rings = false
    if (registers.wordAt(this.#fsts) & IQE) return
    const tail = this.#tail()
    const step = this.#wide ? 32 : 16
    if (tail >= this.#bytes || tail & (step - 1)) {
      this.#stop(IQEI.TAIL)
      return
    }
    while (this.#head !== tail) {
      const error = this.#fetch() ? this.#execute() : IQEI.FETCH
      if (error !== OK) {
        this.#stop(error)
        return
      }
      this.#setHead((this.#head + step) & (this.#bytes - 1))
    }
  }

  #tail(): number {
    return this.#parts.registers.wordAt(this.#iqt) & IQ_OFFSET_MASK
  }
  #rung(): void {
    this.#rings = true
    if (!this.#options.lag) this.run()
  }
  #setHead(head: number): void {
    this.#head = head
    this.#parts.registers.setAt(this.#iqh, head)
  }
  #stop(error: number): void {
    this.#parts.registers.set('IQERCD', error, 0)
    this.#parts.faults.queueError(IQE)
  }

  /** Reads the descriptor at the head; it is aligned to its size, so it lies in one chunk. */
  #fetch(): boolean {
    const { memory } = this.#parts
    const words = this.#words
    const lo = (this.#baseLo >>> 0) + this.#head
    const hi = this.#baseHi + (lo > 0xffff_ffff ? 1 : 0)
    const view = this.#view(hi, lo | 0)
    const count = this.#wide ? 8 : 4
    if (view) {
      const first = (lo & CHUNK_MASK) >>> 2
      for (let i = 0; i < count; i++) words[i] = view[first + i] as number
      return true
    }
    for (let i = 0; i < count; i += 2) {
      if (!memory.loadEntry(hi, (lo | 0) + i * 4, true)) return false
      words[i] = memory.entryLo
      words[i + 1] = memory.entryHi
    }
    return true
  }
  /** Raw view of the memory at an address; undefined: take the slow path. */
  #view(hi: number, lo: number): Int32Array | undefined {
    const { words } = this.#parts.memory
    const index = chunkIndex(hi, lo)
    return index < words.length ? words[index] : undefined
  }

  /** Runs the descriptor in hand. @returns an `IQEI` value */
  #execute(): number {
    const lo = this.#words[0] as number
    const hi = this.#words[1] as number
    const type = get(DESCRIPTOR_TYPE.LOW, lo, hi) | (get(DESCRIPTOR_TYPE.HIGH, lo, hi) << 4)
    const { caps } = this.#parts
    this.#lastType = type
    if (type === DESCRIPTOR.PAGE_GROUP_RESPONSE) {
      return caps.pageRequests && this.#wide ? OK : IQEI.TYPE
    }
    const reserved = RESERVED[type]
    if (!reserved || (type > DESCRIPTOR.WAIT && !this.#wide)) return IQEI.TYPE
    if (this.#hasReserved(reserved)) return IQEI.RESERVED
    return this.#dispatch(type, lo, hi)
  }
  #hasReserved([first, second]: readonly [readonly [number, number], readonly [number, number]]): boolean {
    const word = (i: number): number => this.#words[i] as number
    if (this.#wide && (word(4) | word(5) | word(6) | word(7)) !== 0) return true
    return ((word(0) & first[0]) | (word(1) & first[1]) | (word(2) & second[0]) | (word(3) & second[1])) !== 0
  }
  #dispatch(type: number, lo: number, hi: number): number {
    switch (type) {
      case DESCRIPTOR.CONTEXT:
        return this.#context(lo, hi)
      case DESCRIPTOR.IOTLB:
        return this.#iotlb(lo, hi)
      case DESCRIPTOR.WAIT:
        return this.#wait(lo, hi)
      default:
        // Device TLBs, the interrupt entry cache and PASID caches hold nothing here: the command is complete at once.
        return OK
    }
  }

  #context(lo: number, hi: number): number {
    const { contexts } = this.#parts.caches
    const granularity = get(CONTEXT_INV.G, lo, hi)
    if (granularity === GRANULARITY.RESERVED) return IQEI.PROGRAMMING
    if (granularity === GRANULARITY.SELECTIVE) {
      contexts.dropDevice(get(CONTEXT_INV.SID, lo, hi), get(CONTEXT_INV.FM, lo, hi))
    } else if (granularity === GRANULARITY.DOMAIN && !this.#options.qemu) {
      contexts.dropDomain(get(CONTEXT_INV.DID, lo, hi))
    } else contexts.dropAll()
    return OK
  }
  #iotlb(lo: number, hi: number): number {
    const { caches, caps } = this.#parts
    const granularity = get(IOTLB_INV.G, lo, hi)
    const domain = get(IOTLB_INV.DID, lo, hi)
    if (granularity === GRANULARITY.RESERVED) return IQEI.PROGRAMMING
    if (granularity === GRANULARITY.GLOBAL) caches.dropIotlb()
    else if (granularity === GRANULARITY.DOMAIN || !caps.pageSelective) caches.dropIotlbDomain(domain)
    else {
      const address = this.#words[2] as number
      const mask = get(IVA.AM, address, 0)
      if (mask > caps.maxMask) return IQEI.PROGRAMMING
      caches.iotlb.dropPages(domain, this.#words[3] as number, address & ~0xfff, mask)
    }
    return OK
  }
  #wait(lo: number, hi: number): number {
    const statusWrite = get(WAIT.SW, lo, hi) === 1
    const interrupt = get(WAIT.IF, lo, hi) === 1
    // A bare fence is legal: descriptors run in order here, so it has nothing to do.
    if (!statusWrite && !interrupt && !get(WAIT.FN, lo, hi)) return IQEI.PROGRAMMING
    if (get(WAIT.PD, lo, hi) && !this.#parts.caps.pageRequests) return IQEI.RESERVED
    if (statusWrite && !this.#writeStatus(hi)) return IQEI.STATUS_WRITE
    if (interrupt) this.#complete()
    return OK
  }
  #writeStatus(data: number): boolean {
    const lo = this.#words[2] as number
    const hi = this.#words[3] as number
    const view = this.#view(hi, lo)
    if (view) {
      view[(lo & CHUNK_MASK) >>> 2] = data
      return true
    }
    const { memory } = this.#parts
    status[0] = data
    const hpa = hpaOf(hi, lo)
    return (memory.snoop ?? memory).write(hpa, statusBytes) === 4
  }
  /** Invalidation completion: one event until software clears IWC. */
  #complete(): void {
    const { registers } = this.#parts
    if (registers.lo('ICS') & IWC) return
    registers.set('ICS', put(ICS.IWC, registers.lo('ICS'), 1))
    this.#completion.request()
  }
}

const status = new Int32Array(1)
const statusBytes = new Uint8Array(status.buffer)
