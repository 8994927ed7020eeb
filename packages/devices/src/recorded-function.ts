/**
 * A function that shows a recorded configuration space. Its BARs have the recorded sizes; their registers read zero, except
 * the bytes given as data. The MSI-X table and pending bits are the bus's own: they work.
 */
import {
  type Bar,
  CompositionError,
  type FunctionModel,
  hex,
  type MmioWindow,
  type VirtualFunctions,
} from '@ioasis/core'

/** Bytes that read as given and do not change. */
export interface RecordedRegister {
  /** BAR index; 6: the expansion ROM. */
  readonly bar: number
  readonly offset: number
  /** What reads there. */
  readonly bytes: Uint8Array
  /**
   * The device knows only whole registers of 4 bytes: a load of 1 or 2 bytes gives the low bytes of the register it falls into,
   * wherever in it that is (QEMU's regions whose implementation takes 4 bytes only, e.g. hw/net/e1000e.c mmio_ops). Absent:
   * bytes lie there as in memory.
   */
  readonly whole?: boolean
}

/** A BAR as sysfs tells it. */
export type RecordedBar = Omit<Bar, 'window'>

/** What was recorded of a function. */
export interface Recording {
  readonly name: string
  /** 256 or 4096 bytes. */
  readonly config: Uint8Array
  /** For each byte of `config`, the bits software can write; absent: the usual ones. */
  readonly writable?: Uint8Array
  /** For each byte of `config`, the bits that a reset leaves alone; absent: none. */
  readonly kept?: Uint8Array
  readonly bars: readonly RecordedBar[]
  /** Its virtual functions. */
  readonly virtualFunctions?: VirtualFunctions
  /** Known register contents. */
  readonly registers?: readonly RecordedRegister[]
}

/** Flags of a `resource` line, include/linux/ioport.h. */
const IORESOURCE = { IO: 0x100, MEM: 0x200, PREFETCH: 0x2000, MEM_64: 0x100000 } as const

/**
 * The BARs of a function from the text of sysfs' `resource` file.
 * @param rows "start end flags" in hexadecimal; rows 0 to 5 are BARs, 6 the ROM, the others are not looked at
 * @throws CompositionError naming a row that is not of that form, or whose size is not a power of two
 */
export function barsOfResource(rows: readonly string[]): readonly RecordedBar[] {
  const bars: RecordedBar[] = []
  rows.slice(0, 7).forEach((row, index) => {
    const m = /^0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})$/i.exec(row)
    if (!m) throw new CompositionError(`resource row ${index}: "${row}" is not "start end flags" in hexadecimal`)
    const [start, end, flags] = m.slice(1).map((text) => parseInt(text, 16)) as [number, number, number]
    if (flags === 0) return
    const size = end - start + 1
    if (size < 1 || !Number.isInteger(Math.log2(size))) {
      throw new CompositionError(`resource row ${index}: a BAR of ${hex(size)} bytes; a power of two is needed`)
    }
    const rom = index === 6
    bars.push({
      index,
      size,
      space: rom ? 'rom' : flags & IORESOURCE.IO ? 'io' : 'memory',
      wide: !rom && (flags & IORESOURCE.MEM_64) !== 0,
      prefetchable: (flags & IORESOURCE.PREFETCH) !== 0,
    })
  })
  return bars
}

/** The device model. */
export class RecordedFunction implements FunctionModel {
  readonly name: string
  readonly config: Uint8Array
  readonly writable?: Uint8Array
  readonly keptOverReset?: Uint8Array
  readonly bars: readonly Bar[]
  readonly virtualFunctions?: VirtualFunctions

  /** @throws CompositionError for a configuration space that is neither 256 nor 4096 bytes */
  constructor({ name, config, writable, kept, bars, virtualFunctions, registers = [] }: Recording) {
    if (config.length !== 256 && config.length !== 4096) {
      throw new CompositionError(`${name}: a configuration space of ${config.length} bytes; 256 or 4096 are possible`)
    }
    this.name = name
    this.config = config.slice()
    if (writable) this.writable = writable.slice()
    if (kept) this.keptOverReset = kept.slice()
    if (virtualFunctions) this.virtualFunctions = virtualFunctions
    this.bars = bars.map((bar) => ({ ...bar, window: fixedWindow(registers.filter((r) => r.bar === bar.index)) }))
  }
}

/** Byte by byte: recorded registers are few and nobody's hot path. Writes are lost. */
function fixedWindow(registers: readonly RecordedRegister[]): MmioWindow {
  return {
    load: (offset, size) => {
      let value = 0n
      for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(byteAt(registers, offset, i))
      return value
    },
    store: () => undefined,
  }
}

/** Byte `i` of a load from `offset`. */
function byteAt(registers: readonly RecordedRegister[], offset: number, i: number): number {
  for (const register of registers) {
    // a load of 8 bytes is two of 4; each begins its register anew
    const at = (register.whole ? (offset & ~3) + i : offset + i) - register.offset
    if (at >= 0 && at < register.bytes.length) return register.bytes[at] as number
  }
  return 0
}
