/** Ports of a VGA, and how accesses wider than a byte reach them. QEMU 11.1 system/ioport.c portio_read, hw/display/vga.c vga_portio_list. */
import type { AccessSize, MmioWindow } from '@ioasis/core'

/** Ports by what lies there. Some mean one thing when read and another when written. */
export const Ports = {
  CRTC_INDEX_MONO: 0x3b4,
  CRTC_MONO: 0x3b5,
  STATUS_MONO: 0x3ba,
  ATTRIBUTE: 0x3c0,
  ATTRIBUTE_READ: 0x3c1,
  MISCELLANEOUS: 0x3c2,
  SEQUENCER_INDEX: 0x3c4,
  SEQUENCER: 0x3c5,
  PALETTE_READ_INDEX: 0x3c7,
  PALETTE_WRITE_INDEX: 0x3c8,
  PALETTE: 0x3c9,
  FEATURE_READ: 0x3ca,
  MISCELLANEOUS_READ: 0x3cc,
  GRAPHICS_INDEX: 0x3ce,
  GRAPHICS: 0x3cf,
  CRTC_INDEX: 0x3d4,
  CRTC: 0x3d5,
  STATUS: 0x3da,
} as const

/** Runs of ports that answer; ends are exclusive. */
const RUNS: readonly { readonly first: number; readonly end: number }[] = [
  { first: 0x3b4, end: 0x3b6 },
  { first: 0x3ba, end: 0x3bb },
  { first: 0x3c0, end: 0x3d0 },
  { first: 0x3d4, end: 0x3d6 },
  { first: 0x3da, end: 0x3db },
]
const allOnes = (size: AccessSize): bigint => (1n << BigInt(8 * size)) - 1n

/** Registers of one byte each. */
export interface BytePorts {
  read(port: number): number
  write(port: number, value: number): void
}

/** A window by port number: words are two bytes, the lower one first, inside one run; wider accesses nobody answers. */
export function portWindow(registers: BytePorts): MmioWindow {
  return {
    load(port, size) {
      const run = RUNS.find(({ first, end }) => port >= first && port < end)
      if (!run || size > 2) return allOnes(size)
      const low = registers.read(port)
      if (size === 1) return BigInt(low)
      return BigInt(low | ((port + 1 < run.end ? registers.read(port + 1) : 0xff) << 8))
    },
    store(port, size, value) {
      const run = RUNS.find(({ first, end }) => port >= first && port < end)
      if (!run || size > 2) return
      registers.write(port, Number(value) & 0xff)
      if (size === 2 && port + 1 < run.end) registers.write(port + 1, Number(value) >>> 8)
    },
  }
}
