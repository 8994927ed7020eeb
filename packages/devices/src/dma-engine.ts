/**
 * A DMA master to play with: a PCI Express function with a 64 KiB buffer, a queue of operations and an MSI. A driver writes
 * iova, length and buffer offset, then a command; the operation's result stays readable.
 */
import {
  type Bar,
  type CancelTimer,
  Clock,
  DMA,
  type FunctionModel,
  type MmioWindow,
  NO_PASID,
  type PciFunction,
  type Plugin,
} from '@ioasis/core'
import { advancedErrors, express, msi, pasid, powerManagement } from './capabilities.ts'
import { buildConfig } from './config-builder.ts'
import { type PlaceAt, placed } from './placed.ts'
import { wordWindow } from './register-window.ts'

/** Registers of BAR 0, 32 bits each. */
export const DMA_ENGINE = {
  /** Reads `DMA\0`. */
  ID: 0x00,
  IOVA_LO: 0x08,
  IOVA_HI: 0x0c,
  /** Bytes. */
  LENGTH: 0x10,
  /** Where in the buffer, from 0 on. */
  OFFSET: 0x14,
  /** The PASID of operations with `DMA_ENGINE_COMMAND.WITH_PASID`. */
  PASID: 0x18,
  /** Writing it queues an operation made of the registers above; see `DMA_ENGINE_COMMAND`. */
  COMMAND: 0x1c,
  /** Result of the last operation that ended, int32: 0, a negative `DMA` value, or the unit's fault reason. */
  RESULT: 0x20,
  /** Bytes it moved. */
  TRANSFERRED: 0x24,
  /** Operations ended since reset. */
  ENDED: 0x28,
  /** Operations queued and not ended. */
  QUEUED: 0x2c,
  /** The buffer itself, from here to the end of the BAR. */
  BUFFER: 0x1_0000,
} as const
/** Bits of COMMAND. */
export const DMA_ENGINE_COMMAND = { TO_MEMORY: 1, INTERRUPT: 2, WITH_PASID: 4, NO_SNOOP: 8 } as const
/** Operations that fit in the queue; more are lost with the result `DMA.DISABLED`. */
export const DMA_ENGINE_QUEUE = 64

const ID = 0x00414d44
const BUFFER_BYTES = 0x1_0000
/** A page request is looked at again after so long. */
const RETRY_MS = 1

/** How a DMA engine behaves. */
export interface DmaEngineOptions {
  /** Milliseconds of virtual time from command to end; default 0: the operation runs inside the register write. */
  readonly latency?: number
  /** Width of its PASIDs; default 0: no PASID capability. */
  readonly pasidBits?: number
  /** Enable No Snoop in Device Control at reset; software may change it. Default `off`. */
  readonly noSnoop?: 'on' | 'off'
}

interface Operation {
  readonly command: number
  readonly pasid: number
  hi: number
  lo: number
  offset: number
  length: number
  moved: number
}

/** The device model. */
export class DmaEngine implements FunctionModel {
  readonly name = 'dma-engine'
  readonly config: Uint8Array
  readonly bars: readonly Bar[]
  /** The buffer that operations fill and send. */
  readonly buffer: Uint8Array = new Uint8Array(BUFFER_BYTES)
  readonly #clock: Clock
  readonly #latency: number
  readonly #registers = new Uint32Array(DMA_ENGINE.QUEUED / 4 + 1)
  readonly #queue: Operation[] = []
  #fn: PciFunction | undefined
  #timer: CancelTimer | undefined
  #running = false

  constructor(clock: Clock, options: DmaEngineOptions = {}) {
    this.#clock = clock
    this.#latency = options.latency ?? 0
    const window = this.#window()
    this.bars = [{ index: 0, size: 0x2_0000, space: 'memory', wide: true, prefetchable: false, window }]
    this.config = engineConfig(0x0da1, this.bars, options)
    this.reset()
  }

  attached(fn: PciFunction): void {
    this.#fn = fn
  }
  reset(): void {
    this.removed()
    this.#registers.fill(0)
    this.#registers[DMA_ENGINE.ID / 4] = ID
  }
  removed(): void {
    this.#timer?.()
    this.#timer = undefined
    this.#queue.length = 0
  }

  /** Operations queued and not ended. */
  get queued(): number {
    return this.#queue.length
  }
  /** Result of the last operation that ended: as register RESULT. */
  get result(): number {
    return (this.#registers[DMA_ENGINE.RESULT / 4] as number) | 0
  }

  #window(): MmioWindow {
    const words = new Uint32Array(this.buffer.buffer)
    return wordWindow({
      load: (offset) => {
        if (offset >= DMA_ENGINE.BUFFER) return words[(offset - DMA_ENGINE.BUFFER) / 4] as number
        if (offset === DMA_ENGINE.QUEUED) return this.#queue.length
        return this.#registers[offset / 4] ?? 0
      },
      store: (offset, value) => {
        if (offset >= DMA_ENGINE.BUFFER) words[(offset - DMA_ENGINE.BUFFER) / 4] = value
        else if (offset === DMA_ENGINE.COMMAND) this.#command(value)
        else if (offset > DMA_ENGINE.ID && offset < DMA_ENGINE.COMMAND) this.#registers[offset / 4] = value
      },
    })
  }

  #command(command: number): void {
    const registers = this.#registers
    const offset = registers[DMA_ENGINE.OFFSET / 4] as number
    const length = registers[DMA_ENGINE.LENGTH / 4] as number
    const operation: Operation = {
      command,
      pasid: command & DMA_ENGINE_COMMAND.WITH_PASID ? (registers[DMA_ENGINE.PASID / 4] as number) : NO_PASID,
      hi: (registers[DMA_ENGINE.IOVA_HI / 4] as number) | 0,
      lo: (registers[DMA_ENGINE.IOVA_LO / 4] as number) | 0,
      offset,
      length,
      moved: 0,
    }
    if (this.#queue.length >= DMA_ENGINE_QUEUE || offset + length > BUFFER_BYTES)
      return this.#end(operation, DMA.DISABLED)
    this.#queue.push(operation)
    if (this.#latency === 0) this.#run()
    else this.#timer ??= this.#clock.at(this.#clock.now() + this.#latency, () => this.#run())
  }

  /** Runs the queue; stops at an operation whose page request is outstanding, and resumes where it stopped. */
  #run(): void {
    if (this.#running) return
    this.#running = true
    this.#timer = undefined
    for (let operation = this.#queue[0]; operation; operation = this.#queue[0]) {
      const status = this.#move(operation)
      if (status === DMA.PENDING) break
      this.#queue.shift()
      this.#end(operation, status)
      if (this.#latency > 0) break
    }
    this.#running = false
    if (this.#queue.length > 0) {
      this.#timer ??= this.#clock.at(this.#clock.now() + Math.max(this.#latency, RETRY_MS), () => this.#run())
    }
  }
  #move(operation: Operation): number {
    const port = this.#fn?.dma
    if (!port) return DMA.DISABLED
    port.request.pasid = operation.pasid
    port.request.noSnoop = (operation.command & DMA_ENGINE_COMMAND.NO_SNOOP) !== 0 && this.#fn?.noSnoopEnabled === true
    const { hi, lo, offset, length } = operation
    const status =
      operation.command & DMA_ENGINE_COMMAND.TO_MEMORY
        ? port.writeAt(hi, lo, this.buffer, offset, length)
        : port.readAt(hi, lo, this.buffer, offset, length)
    port.request.pasid = NO_PASID
    port.request.noSnoop = false
    const moved = port.transferred
    operation.lo = (lo + moved) | 0
    if (operation.lo >>> 0 < lo >>> 0) operation.hi = (hi + 1) | 0
    operation.offset += moved
    operation.length -= moved
    operation.moved += moved
    return status
  }
  #end(operation: Operation, status: number): void {
    const registers = this.#registers
    registers[DMA_ENGINE.RESULT / 4] = status
    registers[DMA_ENGINE.TRANSFERRED / 4] = operation.moved
    registers[DMA_ENGINE.ENDED / 4] = (registers[DMA_ENGINE.ENDED / 4] as number) + 1
    if (operation.command & DMA_ENGINE_COMMAND.INTERRUPT) this.#fn?.interrupts.raise(0)
  }
}

/** The configuration space of this package's own engines. */
export function engineConfig(device: number, bars: readonly Bar[], options: DmaEngineOptions): Uint8Array {
  return buildConfig({
    vendor: 0x1234,
    device,
    revision: 1,
    classCode: 0x088000,
    interruptPin: 1,
    bars,
    capabilities: [
      powerManagement(),
      msi(),
      express({ flr: true, noSnoop: options.noSnoop ?? 'off' }),
      advancedErrors(),
      ...(options.pasidBits ? [pasid({ bits: options.pasidBits })] : []),
    ],
  })
}

/** Places a DMA engine. @param options `at`: where, e.g. `01:00.0` */
export const dmaEngine = (options: PlaceAt & DmaEngineOptions): Plugin =>
  placed('dma-engine', options, [Clock], (host) => new DmaEngine(host.get(Clock), options))
