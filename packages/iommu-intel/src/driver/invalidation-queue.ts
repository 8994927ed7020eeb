/**
 * The invalidation queue as its driver keeps it: a ring of 256 descriptors, and a page of status words that tell which wait
 * descriptor the unit has come to. drivers/iommu/intel/dmar.c qi_submit_sync, __dmar_enable_qi, qi_check_fault.
 *
 * The unit snoops the ring and the status words whatever ECAP.C says, so that nothing here is flushed by hand.
 */
import { bitsOf, type Cpu, get, hex, type Hpa, type PageAllocator, put } from '@ioasis/core'
import { FSTS, GCMD, IQ_OFFSET_MASK, IQA, REG } from '../spec/registers.ts'
import { type DescriptorWords, descriptorOf, type Invalidation, waitDescriptor } from './invalidation.ts'
import type { UnitCapabilities } from './unit-capabilities.ts'
import type { UnitRegisters } from './unit-registers.ts'

/** Descriptors in the ring. */
export const QUEUE_LENGTH = 256
/** What a status word holds while its wait descriptor is on the way, and once the unit came to it. */
export const STATUS = { IN_USE: 1, DONE: 2 } as const
/** How often the status is looked at before the hardware counts as broken. */
const PATIENCE = 10_000

/** Who carries invalidations to a unit. Returns when the unit has done them. */
export interface Invalidator {
  /** Asks for all of them, in order, and waits. */
  submit(requests: readonly Invalidation[]): void
  /** Requests the unit refused: an audit counter, 0 for ever in a sound driver. */
  readonly refused: number
  /** Bytes of memory it keeps. */
  readonly bytes: number
  /** Stops the unit's queue and frees its memory. */
  close(): void
}

/** What an invalidator is made of. */
export interface InvalidatorParts {
  readonly unit: string
  readonly capabilities: UnitCapabilities
  readonly registers: UnitRegisters
  readonly cpu: Cpu
  readonly pages: PageAllocator
}

/** The queue of one unit. A test that wants a driver which forgets something derives from it and overrides `submit` or `settle`. */
export class InvalidationQueue implements Invalidator {
  refused = 0
  readonly bytes: number
  readonly ring: Hpa
  readonly statuses: Hpa
  readonly #parts: InvalidatorParts
  /** log2 of the bytes of a descriptor. */
  readonly #shift: 4 | 5
  /** Next free slot; as nobody submits while another waits, the ring is empty in between. */
  #tail = 0

  /** Takes memory and switches the queue on. @throws UapiError ENOMEM, with nothing taken */
  constructor(parts: InvalidatorParts) {
    this.#parts = parts
    const { pages, registers, capabilities, unit } = parts
    this.#shift = capabilities.wideDescriptors ? 5 : 4
    this.ring = pages.alloc(this.#ringBytes, `${unit} invalidation queue`)
    try {
      this.statuses = pages.alloc(4096, `${unit} invalidation status`)
    } catch (error) {
      pages.free(this.ring, this.#ringBytes)
      throw error
    }
    this.bytes = this.#ringBytes + 4096
    registers.write(REG.IQT, 0)
    const wide = capabilities.wideDescriptors ? put(IQA.DW, put(IQA.QS, 0, 1), 1) : 0
    registers.write64(REG.IQA, BigInt(this.ring) | BigInt(wide))
    registers.switchOn(GCMD.QIE)
  }

  submit(requests: readonly Invalidation[]): void {
    const room = QUEUE_LENGTH - 2
    for (let done = 0; done < requests.length; done += room) {
      const first = this.#tail
      const end = Math.min(requests.length, done + room)
      for (let i = done; i < end; i++) {
        this.#push(descriptorOf(requests[i] as Invalidation, this.#parts.capabilities))
      }
      this.settle(first, this.#pushWait())
    }
  }

  close(): void {
    const { registers, pages } = this.#parts
    registers.switchOff(GCMD.QIE)
    pages.free(this.ring, this.#ringBytes)
    pages.free(this.statuses, 4096)
  }

  /**
   * Waits until the unit came to the wait descriptor.
   * @param first slot of the first descriptor of this submission
   * @param wait slot of its wait descriptor
   * @throws Error when the unit never does
   */
  protected settle(first: number, wait: number): void {
    const { cpu, unit } = this.#parts
    for (let i = 0; i < PATIENCE; i++) {
      if (cpu.loadWord(this.statuses + wait * 4) === STATUS.DONE) return
      this.#checkErrors(first, wait)
    }
    throw new Error(`${unit}: the invalidation queue does not come to slot ${wait}`)
  }

  /** A descriptor the unit refuses stops the queue: another wait descriptor takes its place, and the queue goes on. */
  #checkErrors(first: number, wait: number): void {
    const { registers } = this.#parts
    const status = registers.read(REG.FSTS)
    const errors = status & (bitsOf(FSTS.IQE) | bitsOf(FSTS.ITE) | bitsOf(FSTS.ICE))
    if (!errors) return
    if (get(FSTS.IQE, status, 0)) {
      const head = (registers.read(REG.IQH) & IQ_OFFSET_MASK) >>> this.#shift
      const inPart = (head - first) & (QUEUE_LENGTH - 1)
      if (inPart >= ((wait - first) & (QUEUE_LENGTH - 1))) {
        throw new Error(
          `unit at ${hex(registers.base)}: the invalidation queue stopped at slot ${head}, which is not a request`,
        )
      }
      this.refused++
      this.#store(head, waitDescriptor(this.statuses + head * 4, STATUS.DONE))
    }
    registers.write(REG.FSTS, errors)
    registers.write(REG.IQT, this.#tail << this.#shift)
  }

  #pushWait(): number {
    const slot = this.#tail
    const status = this.statuses + slot * 4
    this.#parts.cpu.storeWord(status, STATUS.IN_USE)
    this.#push(waitDescriptor(status, STATUS.DONE))
    this.#parts.registers.write(REG.IQT, this.#tail << this.#shift)
    return slot
  }
  #push(words: DescriptorWords): void {
    this.#store(this.#tail, words)
    this.#tail = (this.#tail + 1) & (QUEUE_LENGTH - 1)
  }
  #store(slot: number, [a, b, c, d]: DescriptorWords): void {
    const { cpu } = this.#parts
    const at = this.ring + (slot << this.#shift)
    cpu.storeWords(at, a, b)
    cpu.storeWords(at + 8, c, d)
    if (this.#shift === 4) return
    cpu.storeWords(at + 16, 0, 0)
    cpu.storeWords(at + 24, 0, 0)
  }
  get #ringBytes(): number {
    return QUEUE_LENGTH << this.#shift
  }
}
