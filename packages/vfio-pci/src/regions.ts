/**
 * The regions of a function that are not its configuration space: BARs, ROM, legacy VGA. What is read and written goes over the
 * host's own mapping. drivers/vfio/pci/vfio_pci_rdwr.c vfio_pci_bar_rw, vfio_pci_vga_rw.
 */
import { type Cpu, HEADER, type PciFunction, UapiError } from '@ioasis/core'
import { VFIO_PCI_REGION } from '@ioasis/uapi'
import type { Resource } from './config/owner.ts'
import { type Cut, readRegisters, type Registers, writeRegisters } from './io-access.ts'
import { assigned } from './resources.ts'
import { romBytes } from './rom.ts'

/** The MSI-X table, which nobody but the kernel writes. */
export interface HiddenTable {
  readonly bar: number
  readonly first: number
  readonly end: number
}

/** What the regions need of the opened device. */
export interface RegionParts {
  readonly fn: PciFunction
  readonly cpu: Cpu
  readonly resources: readonly Resource[]
  readonly msix: HiddenTable | undefined
  /** Memory is on and the device awake. */
  memoryEnabled(): boolean
}

const NOTHING_HIDDEN = { first: 0, end: 0 }
const ROM_ENABLE = 1
/** Legacy VGA: memory, and two runs of ports. Ends are exclusive. */
const VGA_MEMORY = { first: 0xa_0000, end: 0xc_0000 }
const VGA_PORTS = [
  { first: 0x3b0, end: 0x3bc },
  { first: 0x3c0, end: 0x3e0 },
]

/** Reads and writes of one opened function. */
export class Regions {
  readonly #parts: RegionParts

  constructor(parts: RegionParts) {
    this.#parts = parts
  }

  /** @param index 0 to 5, or the ROM @returns bytes read: fewer at the end @throws UapiError EINVAL, EIO, ENOMEM */
  read(index: number, offset: number, into: Uint8Array): number {
    const bar = this.#bar(index, offset)
    const part = into.subarray(0, bar.size - offset)
    if (bar.space === 'rom') this.#readRom(bar, offset, part)
    else readRegisters(this.#registers(bar), offset, part, this.#cut(bar))
    return part.length
  }
  /** @param index 0 to 5 @returns bytes written: fewer at the end @throws UapiError EINVAL, EIO */
  write(index: number, offset: number, from: Uint8Array): number {
    const bar = this.#bar(index, offset)
    const part = from.subarray(0, bar.size - offset)
    writeRegisters(this.#registers(bar), offset, part, this.#cut(bar))
    return part.length
  }
  /** Legacy VGA by its own addresses. @returns bytes read @throws UapiError EINVAL between the ranges */
  readVga(offset: number, into: Uint8Array): number {
    const { registers, left } = this.#vga(offset)
    const part = into.subarray(0, left)
    readRegisters(registers, offset, part, { widest: 4, hidden: NOTHING_HIDDEN })
    return part.length
  }
  /** @returns bytes written @throws UapiError EINVAL between the ranges */
  writeVga(offset: number, from: Uint8Array): number {
    const { registers, left } = this.#vga(offset)
    const part = from.subarray(0, left)
    writeRegisters(registers, offset, part, { widest: 4, hidden: NOTHING_HIDDEN })
    return part.length
  }
  /** Bytes of valid images in the ROM; 0 without. */
  get romBytes(): number {
    const rom = assigned(this.#parts.resources, VFIO_PCI_REGION.ROM)
    return rom ? this.#withRom(rom, (registers) => romBytes(registers, rom.size)) : 0
  }

  #bar(index: number, offset: number): Resource {
    const bar = assigned(this.#parts.resources, index)
    if (!bar || offset >= bar.size) throw new UapiError('EINVAL', 'vfio_pci_bar_rw', { index, offset })
    return bar
  }
  #cut({ index, space }: Resource): Cut {
    const { msix } = this.#parts
    // Ports are at most 32 bits wide: an 8-byte access is two.
    return { widest: space === 'io' ? 4 : 8, hidden: msix?.bar === index ? msix : NOTHING_HIDDEN }
  }
  #registers({ index, start, space }: Resource): Registers {
    const { fn, cpu } = this.#parts
    if (space === 'io') {
      return {
        load: (at, size) => fn.ioLoad(index, at, size),
        store: (at, size, value) => fn.ioStore(index, at, size, value),
      }
    }
    return {
      load: (at, size) => {
        this.#mustBeOn()
        return cpu.load(start + at, size)
      },
      store: (at, size, value) => {
        this.#mustBeOn()
        cpu.store(start + at, size, value)
      },
    }
  }
  #mustBeOn(): void {
    if (!this.#parts.memoryEnabled()) throw new UapiError('EIO', 'vfio_pci_bar_rw')
  }

  /** Behind the last image there is nothing to read. */
  #readRom(rom: Resource, offset: number, into: Uint8Array): void {
    this.#withRom(rom, (registers) => {
      const bytes = romBytes({ ...registers, load: (at, size) => this.#parts.cpu.load(rom.start + at, size) }, rom.size)
      if (bytes === 0) throw new UapiError('ENOMEM', 'pci_map_rom', { rom: rom.start })
      readRegisters(registers, offset, into, { widest: 4, hidden: { first: bytes, end: rom.size } })
    })
  }
  /** pci_map_rom(): the ROM answers meanwhile; a copy in memory always does. */
  #withRom<T>(rom: Resource, use: (registers: Registers) => T): T {
    const { fn } = this.#parts
    if (fn.romShadow) return use(this.#registers(rom))
    const before = fn.readConfig(HEADER.ROM, 4)
    fn.writeConfig(HEADER.ROM, 4, (rom.start | ROM_ENABLE) >>> 0)
    try {
      return use(this.#registers(rom))
    } finally {
      fn.writeConfig(HEADER.ROM, 4, before)
    }
  }

  /** The arbiter gives the legacy addresses to this function for the access (vga_get). */
  #vga(offset: number): { readonly registers: Registers; readonly left: number } {
    const { cpu, fn } = this.#parts
    if (offset >= VGA_MEMORY.first && offset < VGA_MEMORY.end) {
      const registers: Registers = {
        load: (at, size) => cpu.load(at, size),
        store: (at, size, value) => cpu.store(at, size, value),
      }
      return { registers, left: VGA_MEMORY.end - offset }
    }
    const ports = VGA_PORTS.find(({ first, end }) => offset >= first && offset < end)
    if (!ports) throw new UapiError('EINVAL', 'vfio_pci_vga_rw', { offset })
    const registers: Registers = {
      load: (at, size) => fn.portLoad(at, size),
      store: (at, size, value) => fn.portStore(at, size, value),
    }
    return { registers, left: ports.end - offset }
  }
}
