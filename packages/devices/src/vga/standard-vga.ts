/**
 * QEMU's standard VGA, 1234:1111, around a recorded configuration space. Facts: QEMU 11.1 docs/specs/standard-vga.rst,
 * hw/display/vga-pci.c pci_std_vga_realize. Legacy memory and ports answer whatever COMMAND says: QEMU does not gate them. Not
 * modelled: the Bochs display interface and the EDID of BAR 2, the retrace in time, a picture.
 */
import type { Bar, FunctionModel, LegacyVga } from '@ioasis/core'
import { byteWindow, VgaPlanes, VideoMemory } from './planes.ts'
import { portWindow } from './ports.ts'
import { VgaRegisters } from './registers.ts'
import { TEXT_MODE } from './text-mode.ts'

/** BAR 2: ports 3c0 to 3df stand from here on. */
const PORTS_AT = 0x400
const FIRST_PORT = 0x3c0
const PORT_BYTES = 0x20
/** Firmware clears all of the text window, not the visible page alone. */
const CHARACTERS = 0x4000
/** Bytes side by side: a character in plane 0, how it looks in plane 1. */
const PLANES = 4
const WHITE_ON_BLACK = 0x07
const BLANK = 0x20

/** @param at offset into BAR 2 */
const portOf = (at: number): number | undefined =>
  at >= PORTS_AT && at < PORTS_AT + PORT_BYTES ? at - PORTS_AT + FIRST_PORT : undefined

/** How a display is found. */
export interface StandardVgaOptions {
  /** It was the boot display: in text mode, with this on its first line. Absent: as after a reset. */
  readonly bootText?: string
}

/** The device model. */
export class StandardVga implements FunctionModel {
  readonly name = 'standard VGA'
  readonly config: Uint8Array
  readonly writable?: Uint8Array
  readonly keptOverReset?: Uint8Array
  readonly bars: readonly Bar[]
  readonly vga: LegacyVga
  readonly #registers = new VgaRegisters()
  readonly #planes: VgaPlanes

  /** @param shown its configuration space, the sizes of its BARs and its ROM */
  constructor(shown: FunctionModel, { bootText }: StandardVgaOptions = {}) {
    this.config = shown.config
    if (shown.writable) this.writable = shown.writable
    if (shown.keptOverReset) this.keptOverReset = shown.keptOverReset
    const memory = new VideoMemory(shown.bars.find(({ index }) => index === 0)?.size ?? 0x100_0000)
    this.#planes = new VgaPlanes(this.#registers, memory)
    this.vga = { memory: this.#planes.window, ports: portWindow(this.#registers) }
    this.bars = shown.bars.map((bar) => this.#barOf(bar, memory))
    if (bootText !== undefined) this.#boot(bootText, memory)
  }

  reset(): void {
    this.#registers.reset()
    this.#planes.reset()
  }

  #barOf(bar: Bar, memory: VideoMemory): Bar {
    if (bar.index === 0) return { ...bar, window: memory.window }
    if (bar.index !== 2) return bar
    const window = byteWindow(
      (at) => {
        const port = portOf(at)
        return port === undefined ? 0 : this.#registers.read(port)
      },
      (at, value) => {
        const port = portOf(at)
        if (port !== undefined) this.#registers.write(port, value)
      },
    )
    return { ...bar, window }
  }
  #boot(text: string, memory: VideoMemory): void {
    this.#registers.set(TEXT_MODE)
    for (let i = 0; i < CHARACTERS; i++) {
      memory.write(PLANES * i, i < text.length ? text.charCodeAt(i) : BLANK)
      memory.write(PLANES * i + 1, WHITE_ON_BLACK)
    }
  }
}
