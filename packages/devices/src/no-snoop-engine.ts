/**
 * A PCI Express copy engine that can leave the CPUs' caches out: it reads from one iova and writes to another, and sets the
 * No Snoop attribute where its flags ask for it and Device Control allows it. Each side has its own flag, because a stale
 * read and a lost write are different stories.
 */
import { type Bar, DMA, type FunctionModel, type PciFunction, type Plugin, type Status } from '@ioasis/core'
import { engineConfig } from './dma-engine.ts'
import { type PlaceAt, placed } from './placed.ts'
import { wordWindow } from './register-window.ts'

/** Registers of BAR 0, 32 bits each. */
export const NO_SNOOP_ENGINE = {
  SOURCE_LO: 0x00,
  SOURCE_HI: 0x04,
  DESTINATION_LO: 0x08,
  DESTINATION_HI: 0x0c,
  /** Bytes, at most 64 KiB. */
  LENGTH: 0x10,
  /** Writing it starts the copy; see `NO_SNOOP_FLAGS`. */
  FLAGS: 0x14,
  /** Result of the last copy, int32: 0, a negative `DMA` value, or the unit's fault reason. */
  RESULT: 0x18,
  /** Whether the last copy's reads (bit 0) and writes (bit 1) carried No Snoop. */
  SENT: 0x1c,
} as const
/** Bits of FLAGS. Without `START` nothing happens. */
export const NO_SNOOP_FLAGS = { START: 1, INTERRUPT: 2, NO_SNOOP_READ: 4, NO_SNOOP_WRITE: 8, NO_SNOOP: 0xc } as const

const LONGEST = 0x1_0000

/** How a no-snoop engine differs from the default. */
export interface NoSnoopEngineOptions {
  /** Enable No Snoop in Device Control at reset; software may change it. Default `on`, as the specification's default. */
  readonly noSnoop?: 'on' | 'off'
}

/** The device model. A copy runs inside the register write that starts it. */
export class NoSnoopEngine implements FunctionModel {
  readonly name = 'no-snoop-engine'
  readonly config: Uint8Array
  readonly bars: readonly Bar[]
  readonly #registers = new Uint32Array(8)
  readonly #staging = new Uint8Array(LONGEST)
  #fn: PciFunction | undefined

  constructor(options: NoSnoopEngineOptions = {}) {
    const window = wordWindow({
      load: (offset) => this.#registers[offset / 4] ?? 0,
      store: (offset, value) => this.#store(offset, value),
    })
    this.bars = [{ index: 0, size: 4096, space: 'memory', wide: false, prefetchable: false, window }]
    this.config = engineConfig(0x0da2, this.bars, { noSnoop: options.noSnoop ?? 'on' })
  }

  attached(fn: PciFunction): void {
    this.#fn = fn
  }
  reset(): void {
    this.#registers.fill(0)
  }

  #store(offset: number, value: number): void {
    if (offset > NO_SNOOP_ENGINE.FLAGS) return
    this.#registers[offset / 4] = value
    if (offset !== NO_SNOOP_ENGINE.FLAGS || (value & NO_SNOOP_FLAGS.START) === 0) return
    this.#registers[NO_SNOOP_ENGINE.RESULT / 4] = this.#copy(value)
    if (value & NO_SNOOP_FLAGS.INTERRUPT) this.#fn?.interrupts.raise(0)
  }
  #copy(flags: number): Status {
    const registers = this.#registers
    const port = this.#fn?.dma
    const length = registers[NO_SNOOP_ENGINE.LENGTH / 4] as number
    if (!port || length > LONGEST) return DMA.DISABLED
    const allowed = this.#fn?.noSnoopEnabled ? flags : 0
    const sent = (allowed & NO_SNOOP_FLAGS.NO_SNOOP) >> 2
    registers[NO_SNOOP_ENGINE.SENT / 4] = sent
    const word = (offset: number): number => registers[offset / 4] as number
    port.request.noSnoop = (sent & 1) !== 0
    let status = port.readAt(word(NO_SNOOP_ENGINE.SOURCE_HI), word(NO_SNOOP_ENGINE.SOURCE_LO), this.#staging, 0, length)
    port.request.noSnoop = (sent & 2) !== 0
    if (status === DMA.OK) {
      status = port.writeAt(
        word(NO_SNOOP_ENGINE.DESTINATION_HI),
        word(NO_SNOOP_ENGINE.DESTINATION_LO),
        this.#staging,
        0,
        length,
      )
    }
    port.request.noSnoop = false
    return status
  }
}

/** Places a no-snoop engine. @param options `at`: where, e.g. `01:00.0` */
export const noSnoopEngine = (options: PlaceAt & NoSnoopEngineOptions): Plugin =>
  placed('no-snoop-engine', options, [], () => new NoSnoopEngine(options))
