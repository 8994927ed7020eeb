/** One function's configuration space: what reads give, what writes change, what a reset restores. */
import { type CapabilityLink, capabilities, extendedCapabilities, setWord, word } from './capability-chain.ts'
import type { Bar, FunctionModel } from './function.ts'
import { msiLayout } from './capability-masks.ts'
import { BRIDGE, CAP, EXPRESS, EXT_CAP, HEADER, MSI, MSIX, PM, SRIOV } from './header.ts'
import { barOffset, isBridge, maskBars, maskVirtualBars, maskVirtualHeader, writeMasks } from './write-masks.ts'

/** Width of a configuration cycle, in bytes. */
export type ConfigSize = 1 | 2 | 4

/** What reads give where nobody answers. */
export const allOnes = (size: ConfigSize): number => (2 ** (8 * size) - 1) >>> 0

/** The registers of one function, 256 or 4096 bytes. */
export class ConfigSpace {
  /** The live bytes, for those who stand inside the function. */
  readonly bytes: Uint8Array
  readonly #writable: Uint8Array
  readonly #clearedByOne: Uint8Array
  readonly #capabilities: readonly CapabilityLink[]
  readonly #extended: readonly CapabilityLink[]
  readonly #afterReset: Uint8Array
  readonly #kept: Uint8Array | undefined

  /**
   * @param model its `config` is copied; type bits of its BARs are filled in
   * @param virtual a virtual function: its BARs stand in the physical one, and read zero here
   */
  constructor(model: FunctionModel, virtual = false) {
    this.bytes = model.config.slice()
    const bars = virtual ? [] : model.bars
    fillBarTypes(this.bytes, bars)
    const usual = writeMasks(this.bytes, bars)
    if (virtual) maskVirtualHeader(usual.writable)
    this.#writable = model.writable?.slice() ?? usual.writable
    if (model.writable) maskBars(this.#writable, bars, isBridge(this.bytes))
    this.#clearedByOne = model.clearedByOne ?? usual.clearedByOne
    this.#capabilities = capabilities(this.bytes)
    this.#extended = extendedCapabilities(this.bytes)
    const sriov = this.extendedCapability(EXT_CAP.SRIOV)
    const virtualBars = sriov ? (model.virtualFunctions?.bars ?? []) : []
    maskVirtualBars(this.#writable, sriov + SRIOV.BAR0, virtualBars)
    for (const { index, wide, prefetchable } of virtualBars)
      fillType(this.bytes, sriov + SRIOV.BAR0 + 4 * index, ~0xf, (wide ? 0x4 : 0) | (prefetchable ? 0x8 : 0))
    this.#afterReset = this.#resetValues(this.bytes)
    this.#kept = model.keptOverReset?.slice()
  }

  /** @returns 1, 2 or 4 bytes, unsigned; all ones beyond the end */
  read(offset: number, size: ConfigSize): number {
    checkCycle(offset, size)
    if (offset + size > this.bytes.length) return allOnes(size)
    let value = 0
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] as number)
    return value
  }

  /** Writes what can be written; lost beyond the end. */
  write(offset: number, size: ConfigSize, value: number): void {
    checkCycle(offset, size)
    if (offset + size > this.bytes.length) return
    for (let i = 0; i < size; i++) {
      const at = offset + i
      const byte = (value >>> (8 * i)) & 0xff
      const old = this.bytes[at] as number
      const clear = this.#clearedByOne[at] as number
      const mask = (this.#writable[at] as number) & ~clear
      this.bytes[at] = ((old & ~mask) | (byte & mask)) & ~(byte & clear)
    }
  }

  /** The bits of [offset, offset + size) that software can change; 0 beyond the end. */
  writable(offset: number, size: ConfigSize): number {
    checkCycle(offset, size)
    let bits = 0
    for (let i = size - 1; i >= 0; i--) {
      const at = offset + i
      bits = bits * 256 + ((this.#writable[at] ?? 0) | (this.#clearedByOne[at] ?? 0))
    }
    return bits
  }

  /** Offset of a capability; 0: absent. The chain is walked once: hardware does not change it. */
  capability(id: number): number {
    return this.#capabilities.find((c) => c.id === id)?.offset ?? 0
  }
  /** Offset of an extended capability; 0: absent. */
  extendedCapability(id: number): number {
    return this.#extended.find((c) => c.id === id)?.offset ?? 0
  }

  /**
   * Puts the registers back.
   * @param keepLink a function level reset spares payload size and link control (PCI Express Base Specification r6.0 "6.6.2
   * Function Level Reset")
   */
  reset(keepLink: boolean): void {
    const at = keepLink ? this.capability(CAP.EXPRESS) : 0
    const control = at ? word(this.bytes, at + EXPRESS.DEVCTL) & EXPRESS.DEVCTL_PAYLOAD : 0
    const link = at ? word(this.bytes, at + EXPRESS.LNKCTL) : 0
    const before = this.#kept && this.bytes.slice()
    this.bytes.set(this.#afterReset)
    this.#kept?.forEach((bits, i) => {
      if (bits !== 0 && before) this.bytes[i] = ((this.bytes[i] as number) & ~bits) | ((before[i] as number) & bits)
    })
    if (!at) return
    setWord(this.bytes, at + EXPRESS.DEVCTL, word(this.bytes, at + EXPRESS.DEVCTL) | control)
    setWord(this.bytes, at + EXPRESS.LNKCTL, link)
  }

  /**
   * A model's `config` may be what a running kernel left (a recording). What a kernel sets is taken back; defaults that a
   * device chooses (No Snoop, relaxed ordering, read request size) stay as they are.
   */
  #resetValues(config: Uint8Array): Uint8Array {
    const bytes = config.slice()
    const clear = (first: number, end: number): void => {
      for (let i = first; i < end; i++) bytes[i] = (bytes[i] as number) & ~(this.#writable[i] as number)
    }
    clear(HEADER.COMMAND, HEADER.STATUS)
    clear(HEADER.CACHE_LINE_SIZE, HEADER.HEADER_TYPE)
    clear(HEADER.BAR0, isBridge(config) ? BRIDGE.CONTROL + 2 : HEADER.INTERRUPT_PIN)
    for (const at of [HEADER.STATUS, BRIDGE.SEC_STATUS]) this.#clearStatus(bytes, at)
    this.#resetCapabilities(bytes, clear)
    return bytes
  }
  #resetCapabilities(bytes: Uint8Array, clear: (first: number, end: number) => void): void {
    const pm = this.capability(CAP.PM)
    if (pm) setWord(bytes, pm + PM.CONTROL, word(bytes, pm + PM.CONTROL) & ~(PM.STATE | PM.PME_ENABLE))
    const msi = this.capability(CAP.MSI)
    if (msi) {
      const flags = word(bytes, msi + MSI.FLAGS)
      const layout = msiLayout(flags)
      clear(msi + MSI.FLAGS, msi + (flags & MSI.MASKABLE ? layout.pending : layout.data + 2))
    }
    const msix = this.capability(CAP.MSIX)
    if (msix) clear(msix + MSIX.FLAGS, msix + MSIX.TABLE)
    const express = this.capability(CAP.EXPRESS)
    if (!express) return
    const kept = EXPRESS.DEVCTL_NO_SNOOP | EXPRESS.DEVCTL_RELAXED | EXPRESS.DEVCTL_READ_REQUEST
    setWord(bytes, express + EXPRESS.DEVCTL, word(bytes, express + EXPRESS.DEVCTL) & kept)
    clear(express + EXPRESS.LNKCTL, express + EXPRESS.LNKSTA)
    this.#clearStatus(bytes, express + EXPRESS.DEVSTA)
    for (const { offset, id } of this.#extended) {
      const [first, end] = RESET_RANGES.get(id) ?? [0, 0]
      clear(offset + first, offset + end)
      // 4 KiB, "9.3.3.13 System Page Size".
      if (id === EXT_CAP.SRIOV) bytes[offset + SRIOV.SYSTEM_PAGES] = 1
    }
  }
  #clearStatus(bytes: Uint8Array, at: number): void {
    for (const i of [at, at + 1]) bytes[i] = (bytes[i] as number) & ~(this.#clearedByOne[i] as number)
  }
}

/** Control fields of extended capabilities that are zero after reset: offsets of the first byte and past the last. */
const RESET_RANGES: ReadonlyMap<number, readonly [number, number]> = new Map<number, readonly [number, number]>([
  [EXT_CAP.ACS, [4, 8]],
  [EXT_CAP.ATS, [4, 8]],
  [EXT_CAP.PRI, [4, 6]],
  [EXT_CAP.PASID, [4, 8]],
  [EXT_CAP.SRIOV, [SRIOV.CONTROL, SRIOV.BAR0 + 24]],
])

function checkCycle(offset: number, size: ConfigSize): void {
  if (offset >= 0 && offset < 4096 && offset % size === 0) return
  throw new RangeError(`configuration cycle of ${size} bytes at offset ${offset}: not aligned, or outside 0 to 4095`)
}

/** Type bits of a BAR: I/O, 64-bit, prefetchable. They are read-only, and a model need not spell them. */
function fillBarTypes(bytes: Uint8Array, bars: readonly Bar[]): void {
  for (const { index, space, wide, prefetchable } of bars) {
    if (space === 'rom') continue
    const at = barOffset(index, isBridge(bytes))
    const type = space === 'io' ? 0x1 : (wide ? 0x4 : 0) | (prefetchable ? 0x8 : 0)
    fillType(bytes, at, space === 'io' ? ~0x3 : ~0xf, type)
  }
}
function fillType(bytes: Uint8Array, at: number, keep: number, type: number): void {
  bytes[at] = ((bytes[at] as number) & keep) | type
}

/** Address in a BAR's registers. */
export function barValue(bytes: Uint8Array, bar: Bar): number {
  const at = barOffset(bar.index, isBridge(bytes))
  const low = (word(bytes, at) | (word(bytes, at + 2) << 16)) >>> 0
  const address = (low & (bar.space === 'io' ? ~0x3 : bar.space === 'rom' ? ~0x7ff : ~0xf)) >>> 0
  const high = bar.wide ? (word(bytes, at + 4) | (word(bytes, at + 6) << 16)) >>> 0 : 0
  return high * 2 ** 32 + address
}
