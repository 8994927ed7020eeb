/**
 * The registers of a VGA behind its ports 3b0 to 3df: miscellaneous output, sequencer, CRT controller, graphics and attribute
 * controllers, palette. IBM VGA Technical Reference; where it leaves room, QEMU 11.1 hw/display/vga.c vga_ioport_read,
 * vga_ioport_write: the retrace bits of the status port toggle with each read, there is no palette mask.
 */
import { Ports } from './ports.ts'
import type { VgaState } from './text-mode.ts'

/** Bits that exist. */
const SEQUENCER_BITS = [0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff] as const
const GRAPHICS_BITS = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff] as const
/** Sixteen palette registers, then mode, overscan, plane enable, panning, colour select. */
const ATTRIBUTES = 21
const PALETTE_BITS = 0x3f
const ATTRIBUTE_BITS = [0xef, 0xff, 0x3f, 0x0f, 0x0f] as const
const OVERSCAN = 0x11

/** Vertical retrace and display enable. */
const RETRACE = 0x09
/** Miscellaneous output: ports at 3dx, not at 3bx. */
const COLOUR = 0x01
/** CRTC 11: registers 0 to 7 cannot be written, save bit 4 of 7. */
const SYNC_END = 0x11
const LOCK = 0x80
const OVERFLOW = 0x07
const LINE_COMPARE = 0x10

/** The registers of one display. */
export class VgaRegisters {
  readonly sequencer: Uint8Array = new Uint8Array(8)
  readonly graphics: Uint8Array = new Uint8Array(16)
  readonly crtc: Uint8Array = new Uint8Array(256)
  readonly #attributes = new Uint8Array(32)
  readonly #palette = new Uint8Array(768)
  #miscellaneous = 0
  #feature = 0
  #status = 0
  #sequencerIndex = 0
  #graphicsIndex = 0
  #crtcIndex = 0
  #attributeIndex = 0
  #attributeData = false
  #palettePart = 0
  #paletteRead = 0
  #paletteWrite = 0
  /** 3: reading, 0: writing. */
  #paletteState = 0
  readonly #mixed = new Uint8Array(3)

  /** Everything zero, as after a reset. */
  reset(): void {
    for (const bytes of [this.sequencer, this.graphics, this.crtc, this.#attributes, this.#palette]) bytes.fill(0)
    this.#miscellaneous = this.#feature = this.#status = 0
    this.#sequencerIndex = this.#graphicsIndex = this.#crtcIndex = this.#attributeIndex = 0
    this.#attributeData = false
    this.#palettePart = this.#paletteRead = this.#paletteWrite = this.#paletteState = 0
  }
  /** Sets all of a state. */
  set(state: VgaState): void {
    this.reset()
    this.#miscellaneous = state.miscellaneous
    this.sequencer.set(state.sequencer)
    this.graphics.set(state.graphics)
    this.crtc.set(state.crtc)
    this.#attributes.set(state.attributes)
    this.#palette.set(state.palette.flat())
    this.#sequencerIndex = state.sequencerIndex
    this.#graphicsIndex = state.graphicsIndex
    this.#crtcIndex = state.crtcIndex
    this.#attributeIndex = state.attributeIndex
    this.#attributeData = state.attributeData
    this.#paletteWrite = state.paletteWriteIndex
  }

  /** One byte. @param port 3b0 to 3df */
  read(port: number): number {
    if (this.#elsewhere(port)) return 0xff
    switch (port) {
      case Ports.ATTRIBUTE:
        return this.#attributeData ? 0 : this.#attributeIndex
      case Ports.ATTRIBUTE_READ:
        return (this.#attributeIndex & 0x1f) < ATTRIBUTES
          ? (this.#attributes[this.#attributeIndex & 0x1f] as number)
          : 0
      case Ports.SEQUENCER_INDEX:
        return this.#sequencerIndex
      case Ports.SEQUENCER:
        return this.sequencer[this.#sequencerIndex] as number
      case Ports.PALETTE_READ_INDEX:
        return this.#paletteState
      case Ports.PALETTE_WRITE_INDEX:
        return this.#paletteWrite
      case Ports.PALETTE:
        return this.#readPalette()
      case Ports.FEATURE_READ:
        return this.#feature
      case Ports.MISCELLANEOUS_READ:
        return this.#miscellaneous
      case Ports.GRAPHICS_INDEX:
        return this.#graphicsIndex
      case Ports.GRAPHICS:
        return this.graphics[this.#graphicsIndex] as number
      case Ports.CRTC_INDEX:
      case Ports.CRTC_INDEX_MONO:
        return this.#crtcIndex
      case Ports.CRTC:
      case Ports.CRTC_MONO:
        return this.crtc[this.#crtcIndex] as number
      case Ports.STATUS:
      case Ports.STATUS_MONO:
        this.#attributeData = false
        return (this.#status ^= RETRACE)
      default:
        return 0
    }
  }

  /** One byte. @param port 3b0 to 3df */
  write(port: number, value: number): void {
    if (this.#elsewhere(port)) return
    switch (port) {
      case Ports.ATTRIBUTE:
        return this.#writeAttribute(value)
      case Ports.MISCELLANEOUS:
        this.#miscellaneous = value & ~0x10
        return
      case Ports.SEQUENCER_INDEX:
        this.#sequencerIndex = value & 7
        return
      case Ports.SEQUENCER:
        this.sequencer[this.#sequencerIndex] = value & (SEQUENCER_BITS[this.#sequencerIndex] as number)
        return
      case Ports.PALETTE_READ_INDEX:
        this.#paletteRead = value
        this.#palettePart = 0
        this.#paletteState = 3
        return
      case Ports.PALETTE_WRITE_INDEX:
        this.#paletteWrite = value
        this.#palettePart = this.#paletteState = 0
        return
      case Ports.PALETTE:
        return this.#writePalette(value)
      case Ports.GRAPHICS_INDEX:
        this.#graphicsIndex = value & 0xf
        return
      case Ports.GRAPHICS:
        this.graphics[this.#graphicsIndex] = value & (GRAPHICS_BITS[this.#graphicsIndex] ?? 0)
        return
      case Ports.CRTC_INDEX:
      case Ports.CRTC_INDEX_MONO:
        this.#crtcIndex = value
        return
      case Ports.CRTC:
      case Ports.CRTC_MONO:
        return this.#writeCrtc(value)
      case Ports.STATUS:
      case Ports.STATUS_MONO:
        this.#feature = value & 0x10
        return
      default:
    }
  }

  /** The CRT controller and the status port stand at 3bx or at 3dx. */
  #elsewhere(port: number): boolean {
    return this.#miscellaneous & COLOUR ? port < 0x3c0 : port >= 0x3d0
  }
  #readPalette(): number {
    const value = this.#palette[this.#paletteRead * 3 + this.#palettePart] as number
    if (++this.#palettePart === 3) {
      this.#palettePart = 0
      this.#paletteRead = (this.#paletteRead + 1) & 0xff
    }
    return value
  }
  #writePalette(value: number): void {
    this.#mixed[this.#palettePart] = value
    if (++this.#palettePart < 3) return
    this.#palette.set(this.#mixed, this.#paletteWrite * 3)
    this.#palettePart = 0
    this.#paletteWrite = (this.#paletteWrite + 1) & 0xff
  }
  #writeAttribute(value: number): void {
    const index = this.#attributeIndex & 0x1f
    if (!this.#attributeData) this.#attributeIndex = value & 0x3f
    else if (index < 0x10) this.#attributes[index] = value & PALETTE_BITS
    else if (index === OVERSCAN) this.#attributes[index] = value
    else if (index < ATTRIBUTES) this.#attributes[index] = value & (ATTRIBUTE_BITS[index - 0x10] as number)
    this.#attributeData = !this.#attributeData
  }
  #writeCrtc(value: number): void {
    const index = this.#crtcIndex
    const locked = index <= OVERFLOW && ((this.crtc[SYNC_END] as number) & LOCK) !== 0
    if (!locked) this.crtc[index] = value
    else if (index === OVERFLOW)
      this.crtc[index] = ((this.crtc[index] as number) & ~LINE_COMPARE) | (value & LINE_COMPARE)
  }
}
