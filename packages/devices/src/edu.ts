/**
 * QEMU's educational device, 1234:11e8: a conventional PCI function with a DMA engine whose 4 KiB buffer software reads back
 * only by DMA. Facts: QEMU 11.1 docs/specs/edu.rst and the behaviour of hw/misc/edu.c.
 */
import {
  type AccessSize,
  type Bar,
  type CancelTimer,
  Clock,
  CompositionError,
  DMA,
  type FunctionModel,
  hiWord,
  loWord,
  type MmioWindow,
  type PciFunction,
  type Plugin,
  split,
} from '@ioasis/core'
import { buildConfig } from './config-builder.ts'
import { msi } from './capabilities.ts'
import { type PlaceAt, placed } from './placed.ts'
import { qemuWritable } from './qemu-masks.ts'

/** Registers of BAR 0. Below 0x80 only 4-byte accesses count, from 0x80 on 4 or 8 bytes. */
export const EDU = {
  ID: 0x00,
  LIVENESS: 0x04,
  FACTORIAL: 0x08,
  STATUS: 0x20,
  INTERRUPT_STATUS: 0x24,
  RAISE: 0x60,
  ACKNOWLEDGE: 0x64,
  DMA_SOURCE: 0x80,
  DMA_DESTINATION: 0x88,
  DMA_COUNT: 0x90,
  DMA_COMMAND: 0x98,
  /** The DMA buffer, an address of the device's own that DMA_SOURCE or DMA_DESTINATION names. Not readable through the BAR. */
  BUFFER: 0x40000,
} as const
/** Bits of DMA_COMMAND. */
export const EDU_COMMAND = { RUN: 1, FROM_DEVICE: 2, INTERRUPT: 4 } as const
/** Bits of STATUS. */
export const EDU_STATUS = { COMPUTING: 1, INTERRUPT: 0x80 } as const
/** Bits of INTERRUPT_STATUS that the device sets by itself. */
export const EDU_INTERRUPT = { FACTORIAL: 1, DMA: 0x100 } as const

/** Size of the DMA buffer. */
const BUFFER_BYTES = 4096
/** Transfers are split at multiples of this. */
const PAGE = 4096
/** A transfer takes this long. */
const DMA_MS = 100
const REGISTERS_BYTES = 0x10_0000

/** How an edu differs from QEMU's default. */
export interface EduOptions {
  /** Addresses it can put on the bus; others lose their upper bits. u64, default 28 bits as QEMU's `dma_mask`. */
  readonly dmaMask?: bigint
  /** A configuration space to show instead of its own, e.g. a recorded one. */
  readonly config?: Uint8Array
  /** Function 0 of a slot with several functions. */
  readonly multifunction?: boolean
}

/** The device model. A transfer ends 100 ms of virtual time after its command, the factorial at the next tick. */
export class Edu implements FunctionModel {
  readonly name = 'edu'
  readonly config: Uint8Array
  readonly writable: Uint8Array
  readonly bars: readonly Bar[]
  /** What the device holds; only DMA reaches it. For tests. */
  readonly buffer: Uint8Array = new Uint8Array(BUFFER_BYTES)
  /** Status of the last transfer: `DMA.OK`, another `DMA` value or the unit's fault reason; undefined before the first. */
  lastStatus: number | undefined
  readonly #clock: Clock
  readonly #dmaMask: bigint
  #fn: PciFunction | undefined
  #timers: CancelTimer[] = []
  #liveness = 0
  #factorial = 0
  #status = 0
  #interruptStatus = 0
  #source = 0n
  #destination = 0n
  #count = 0n
  #command = 0n

  constructor(clock: Clock, options: EduOptions = {}) {
    this.#clock = clock
    this.#dmaMask = options.dmaMask ?? (1n << 28n) - 1n
    const window: MmioWindow = {
      load: (offset, size) => this.#load(offset, size),
      store: (offset, size, value) => this.#store(offset, size, value),
    }
    this.bars = [{ index: 0, size: REGISTERS_BYTES, space: 'memory', wide: false, prefetchable: false, window }]
    this.config = eduConfig(this.bars, options)
    this.writable = qemuWritable(this.config, this.bars)
  }

  attached(fn: PciFunction): void {
    this.#fn = fn
  }
  /** A bus reset or power cycle. The buffer keeps its bytes. */
  reset(): void {
    this.removed()
    this.#liveness = this.#factorial = this.#status = this.#interruptStatus = 0
    this.#source = this.#destination = this.#count = this.#command = 0n
  }
  removed(): void {
    for (const cancel of this.#timers) cancel()
    this.#timers = []
  }

  #load(offset: number, size: AccessSize): bigint {
    const all = (1n << BigInt(8 * size)) - 1n
    if (size < 4 || (size === 8 && offset < 0x80)) return all
    return BigInt.asUintN(8 * size, this.#register(offset) ?? all)
  }
  #register(offset: number): bigint | undefined {
    switch (offset) {
      case EDU.ID:
        return 0x0100_00edn
      case EDU.LIVENESS:
        return BigInt(this.#liveness)
      case EDU.FACTORIAL:
        return BigInt(this.#factorial)
      case EDU.STATUS:
        return BigInt(this.#status)
      case EDU.INTERRUPT_STATUS:
        return BigInt(this.#interruptStatus)
      case EDU.DMA_SOURCE:
        return this.#source
      case EDU.DMA_DESTINATION:
        return this.#destination
      case EDU.DMA_COUNT:
        return this.#count
      case EDU.DMA_COMMAND:
        return this.#command
      default:
        return undefined
    }
  }

  #store(offset: number, size: AccessSize, value: bigint): void {
    if (size < 4 || (size === 8 && offset < 0x80)) return
    if (offset >= 0x80) return this.#storeDma(offset, value)
    const word = Number(value) >>> 0
    switch (offset) {
      case EDU.LIVENESS:
        this.#liveness = ~word >>> 0
        return
      case EDU.FACTORIAL:
        return this.#compute(word)
      case EDU.STATUS:
        this.#status = (this.#status & ~EDU_STATUS.INTERRUPT) | (word & EDU_STATUS.INTERRUPT)
        return
      case EDU.RAISE:
        return this.#raise(word)
      case EDU.ACKNOWLEDGE:
        this.#interruptStatus = (this.#interruptStatus & ~word) >>> 0
        if (this.#interruptStatus === 0) this.#fn?.interrupts.setIntx(false)
        return
      default:
    }
  }
  /** The engine's registers do not change while it runs. */
  #storeDma(offset: number, value: bigint): void {
    if (Number(this.#command) & EDU_COMMAND.RUN) return
    if (offset === EDU.DMA_SOURCE) this.#source = value
    else if (offset === EDU.DMA_DESTINATION) this.#destination = value
    else if (offset === EDU.DMA_COUNT) this.#count = value
    else if (offset === EDU.DMA_COMMAND && Number(value & 1n) === EDU_COMMAND.RUN) {
      this.#command = value
      this.#later(DMA_MS, () => this.#transfer())
    }
  }

  #later(ms: number, action: () => void): void {
    const cancel = this.#clock.at(this.#clock.now() + ms, () => {
      this.#timers = this.#timers.filter((timer) => timer !== cancel)
      action()
    })
    this.#timers.push(cancel)
  }
  #compute(value: number): void {
    if (this.#status & EDU_STATUS.COMPUTING) return
    this.#factorial = value
    this.#status |= EDU_STATUS.COMPUTING
    this.#later(0, () => {
      let product = 1
      // from 34! on the lower 32 bits are 0
      for (let n = Math.min(value, 34); n > 0; n--) product = Math.imul(product, n)
      this.#factorial = product >>> 0
      this.#status &= ~EDU_STATUS.COMPUTING
      if (this.#status & EDU_STATUS.INTERRUPT) this.#raise(EDU_INTERRUPT.FACTORIAL)
    })
  }
  #raise(bits: number): void {
    this.#interruptStatus = (this.#interruptStatus | bits) >>> 0
    if (this.#interruptStatus !== 0 && !this.#fn?.interrupts.raise(0)) this.#fn?.interrupts.setIntx(true)
  }

  #transfer(): void {
    const command = Number(this.#command)
    const fromDevice = (command & EDU_COMMAND.FROM_DEVICE) !== 0
    const inside = Number((fromDevice ? this.#source : this.#destination) - BigInt(EDU.BUFFER))
    const count = Number(this.#count)
    // QEMU only logs a range beyond the buffer and then reads past it; here nothing moves
    if (inside >= 0 && inside + count <= BUFFER_BYTES) this.#move(fromDevice, inside, count)
    this.#command = BigInt(command & ~EDU_COMMAND.RUN)
    if (command & EDU_COMMAND.INTERRUPT) this.#raise(EDU_INTERRUPT.DMA)
  }
  #move(fromDevice: boolean, inside: number, count: number): void {
    const port = this.#fn?.dma
    if (!port) return
    const first = (fromDevice ? this.#destination : this.#source) & this.#dmaMask
    this.lastStatus = DMA.OK
    // As QEMU does, page by page: what is refused reads as zeros, or is lost, and the rest goes on.
    for (let done = 0; done < count;) {
      const iova = first + BigInt(done)
      const n = Math.min(count - done, PAGE - Number(iova & BigInt(PAGE - 1)))
      split(iova)
      const at = inside + done
      const status = fromDevice
        ? port.writeAt(hiWord(), loWord(), this.buffer, at, n)
        : port.readAt(hiWord(), loWord(), this.buffer, at, n)
      if (status !== DMA.OK && !fromDevice) this.buffer.fill(0, at + port.transferred, at + n)
      if (this.lastStatus === DMA.OK) this.lastStatus = status
      done += n
    }
  }
}

function eduConfig(bars: readonly Bar[], { config, multifunction = false }: EduOptions): Uint8Array {
  if (config && config.length !== 256) {
    throw new CompositionError(`edu: a configuration space of ${config.length} bytes; 256 are needed`)
  }
  if (config) return config.slice()
  return buildConfig({
    vendor: 0x1234,
    device: 0x11e8,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    revision: 0x10,
    classCode: 0x00ff00,
    multifunction,
    interruptPin: 1,
    bars,
    capabilities: [msi({ at: 0x40 })],
  })
}

/** Places an edu. @param options `at`: where, e.g. `00:01.0` */
export const edu = (options: PlaceAt & EduOptions): Plugin =>
  placed('edu', options, [Clock], (host) => new Edu(host.get(Clock), options))
