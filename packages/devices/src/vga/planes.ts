/**
 * The video memory of a VGA: four planes of a byte side by side, reached through the window at a0000 as the graphics controller
 * says. IBM VGA Technical Reference, "Graphics Controller"; QEMU 11.1 hw/display/vga.c vga_mem_readb, vga_mem_writeb.
 */
import type { MmioWindow } from '@ioasis/core'
import type { VgaRegisters } from './registers.ts'

const SEQ = { PLANES: 2, MODE: 4, CHAIN_4: 0x08 } as const
const GFX = {
  SET: 0,
  SET_ENABLE: 1,
  COMPARE: 2,
  ROTATE: 3,
  PLANE: 4,
  MODE: 5,
  MISC: 6,
  COMPARE_MASK: 7,
  BITS: 8,
} as const
const GFX_MODE = { WRITE: 0x03, COMPARE: 0x08, ODD_EVEN: 0x10 } as const
const CHAIN_ODD_EVEN = 0x02
/** CRTC 14 bit 6: doublewords. CRTC 17 bit 6: bytes, not words. */
const CRTC = { UNDERLINE: 0x14, DOUBLEWORD: 0x40, MODE: 0x17, BYTES: 0x40 } as const
/** Which part of the window answers, by memory map select. */
const MAPS = [
  { first: 0x0_0000, bytes: 0x2_0000 },
  { first: 0x0_0000, bytes: 0x1_0000 },
  { first: 0x1_0000, bytes: 0x0_8000 },
  { first: 0x1_8000, bytes: 0x0_8000 },
] as const
const CHUNK = 0x1_0000

/** All bytes alike. */
const spread = (byte: number): number => Math.imul(byte, 0x0101_0101)
/** The bytes of the planes named by four bits. */
const planes = (bits: number): number =>
  (bits & 1 ? 0xff : 0) | (bits & 2 ? 0xff00 : 0) | (bits & 4 ? 0xff_0000 : 0) | (bits & 8 ? 0xff00_0000 : 0)

/** Memory, of which only what was written takes room. */
export class VideoMemory {
  /** Power of two. */
  readonly bytes: number
  readonly #chunks = new Map<number, Uint8Array>()

  constructor(bytes: number) {
    this.bytes = bytes
  }
  read(at: number): number {
    return this.#chunks.get(Math.floor(at / CHUNK))?.[at % CHUNK] ?? 0
  }
  write(at: number, value: number): void {
    const index = Math.floor(at / CHUNK)
    let chunk = this.#chunks.get(index)
    if (!chunk) this.#chunks.set(index, (chunk = new Uint8Array(CHUNK)))
    chunk[at % CHUNK] = value
  }
  /** All of it in a row, for a BAR. */
  get window(): MmioWindow {
    return byteWindow(
      (at) => this.read(at),
      (at, value) => this.write(at, value),
    )
  }
}

/** A window whose accesses are bytes, the lowest first. */
export const byteWindow = (read: (at: number) => number, write: (at: number, value: number) => void): MmioWindow => ({
  load: (offset, size) => {
    let value = 0n
    for (let i = 0; i < size; i++) value |= BigInt(read(offset + i)) << BigInt(8 * i)
    return value
  },
  store: (offset, size, value) => {
    for (let i = 0; i < size; i++) write(offset + i, Number((value >> BigInt(8 * i)) & 0xffn))
  },
})

/** The planes as the registers arrange them. */
export class VgaPlanes {
  readonly #registers: VgaRegisters
  readonly #memory: VideoMemory
  #latch = 0

  constructor(registers: VgaRegisters, memory: VideoMemory) {
    this.#registers = registers
    this.#memory = memory
  }

  /** The window at a0000, 128 KiB. */
  get window(): MmioWindow {
    return byteWindow(
      (at) => this.#read(at),
      (at, value) => this.#write(at, value),
    )
  }
  /** Forgets the latch. */
  reset(): void {
    this.#latch = 0
  }

  #read(at: number): number {
    const place = this.#place(at)
    if (!place) return 0xff
    const { graphics } = this.#registers
    this.#latch = this.#load(place.cell)
    if (!((graphics[GFX.MODE] as number) & GFX_MODE.COMPARE)) return (this.#latch >>> (8 * place.plane)) & 0xff
    const wanted = planes(graphics[GFX.COMPARE] as number)
    const differs = (this.#latch ^ wanted) & planes(graphics[GFX.COMPARE_MASK] as number)
    return ~(differs | (differs >>> 8) | (differs >>> 16) | (differs >>> 24)) & 0xff
  }
  #write(at: number, value: number): void {
    const place = this.#place(at)
    if (!place) return
    const { sequencer, graphics } = this.#registers
    const enabled = (sequencer[SEQ.PLANES] as number) & place.writes
    const mode = (graphics[GFX.MODE] as number) & GFX_MODE.WRITE
    const mask = planes(enabled)
    this.#store(place.cell, (this.#load(place.cell) & ~mask) | (this.#mixed(mode, value) & mask))
  }
  /** Set and reset, rotation, logic and bit mask. */
  #mixed(mode: number, byte: number): number {
    if (mode === 1) return this.#latch
    const { graphics } = this.#registers
    const reg = (index: number): number => graphics[index] as number
    const by = reg(GFX.ROTATE) & 7
    const turned = ((byte >>> by) | (byte << (8 - by))) & 0xff
    let bits = reg(GFX.BITS)
    let value: number
    if (mode === 2) value = planes(byte & 0xf)
    else if (mode === 3) {
      bits &= turned
      value = planes(reg(GFX.SET))
    } else {
      const set = planes(reg(GFX.SET_ENABLE))
      value = (spread(turned) & ~set) | (planes(reg(GFX.SET)) & set)
    }
    const logic = reg(GFX.ROTATE) >>> 3
    if (logic === 1) value &= this.#latch
    else if (logic === 2) value |= this.#latch
    else if (logic === 3) value ^= this.#latch
    const mask = spread(bits)
    return (value & mask) | (this.#latch & ~mask)
  }
  /** Which four bytes an address means, which of them it reads and which it may write; undefined: nobody answers. */
  #place(at: number): { readonly cell: number; readonly plane: number; readonly writes: number } | undefined {
    const { sequencer, graphics, crtc } = this.#registers
    const map = MAPS[((graphics[GFX.MISC] as number) >>> 2) & 3] as (typeof MAPS)[number]
    let offset = at - map.first
    if (offset < 0 || offset >= map.bytes) return undefined
    const oddEven = ((graphics[GFX.MODE] as number) & GFX_MODE.ODD_EVEN) !== 0
    let plane = graphics[GFX.PLANE] as number
    let writes = 0xf
    if ((sequencer[SEQ.MODE] as number) & SEQ.CHAIN_4) {
      plane = offset & 3
      writes = 1 << plane
      offset &= ~3
    } else if (oddEven) {
      plane = (plane & 2) | (offset & 1)
      writes = offset & 1 ? 0xa : 0x5
    }
    if ((graphics[GFX.MISC] as number) & CHAIN_ODD_EVEN) offset &= ~1
    if ((crtc[CRTC.UNDERLINE] as number) & CRTC.DOUBLEWORD) offset >>>= 2
    else if (oddEven && !((crtc[CRTC.MODE] as number) & CRTC.BYTES)) offset >>>= 1
    return offset * 4 < this.#memory.bytes ? { cell: offset * 4, plane, writes } : undefined
  }
  #load(cell: number): number {
    let value = 0
    for (let i = 0; i < 4; i++) value |= this.#memory.read(cell + i) << (8 * i)
    return value
  }
  #store(cell: number, value: number): void {
    for (let i = 0; i < 4; i++) this.#memory.write(cell + i, (value >>> (8 * i)) & 0xff)
  }
}
