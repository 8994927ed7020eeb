/**
 * How one function signals: MSI, MSI-X or a line, as its registers say. PCI Local Bus Specification r3.0 "6.8 Message Signaled
 * Interrupts". Messages leave through the function's own DMA port, so that they pass the unit and follow Bus Master Enable.
 */
import type { DmaPort } from '../dma/port.ts'
import type { AccessSize, MmioWindow } from '../memory/backing.ts'
import { msiLayout } from './capability-masks.ts'
import { dword, setDword, setWord, word } from './capability-chain.ts'
import type { ConfigSpace } from './config-space.ts'
import type { FunctionInterrupts } from './function.ts'
import { CAP, COMMAND, HEADER, MSI, MSIX, STATUS } from './header.ts'
import { MsixTable } from './msix-table.ts'

/** What the registers of a function need of it. */
export interface InterruptWiring {
  readonly config: ConfigSpace
  readonly dma: DmaPort
  /** Where the platform wants messages; absent: the x86 window. */
  readonly messageAddress?: () => bigint
  /** Drives the function's line; absent where nobody looks at lines. */
  readonly setLine?: (asserted: boolean) => void
}

/** The interrupts of a function on a bus. */
export class RegisterInterrupts implements FunctionInterrupts {
  /** Present with an MSI-X capability. */
  readonly table: MsixTable | undefined
  readonly #config: ConfigSpace
  readonly #dma: DmaPort
  readonly #messageAddress: (() => bigint) | undefined
  readonly #setLine: ((asserted: boolean) => void) | undefined
  readonly #msi: number
  readonly #msix: number
  #asserted = false
  #line = false
  #muted = false

  constructor({ config, dma, messageAddress, setLine }: InterruptWiring) {
    this.#config = config
    this.#messageAddress = messageAddress
    this.#dma = dma
    this.#setLine = setLine
    this.#msi = config.capability(CAP.MSI)
    this.#msix = config.capability(CAP.MSIX)
    if (!this.#msix) return
    this.table = new MsixTable((word(config.bytes, this.#msix + MSIX.FLAGS) & MSIX.SIZE) + 1, () => this.update())
  }

  get messageAddress(): bigint {
    return this.#messageAddress?.() ?? 0xfee0_0000n
  }

  raise(n: number): boolean {
    if (this.table && this.#msixEnabled) {
      if (n >= this.table.entries) throw new Error(`MSI-X vector ${n}: the table has ${this.table.entries} entries`)
      if (this.#msixMasked(n)) this.table.setPending(n, true)
      else this.#sendMsix(n)
      return true
    }
    if (!this.#msiEnabled) return false
    this.#raiseMsi(n)
    return true
  }

  setIntx(asserted: boolean): void {
    this.#asserted = asserted
    this.update()
  }
  get intxAsserted(): boolean {
    return this.#asserted
  }

  /** Registers changed: sends what was unmasked, moves the line. */
  update(): void {
    this.#sendPending()
    const { bytes } = this.#config
    const status = word(bytes, HEADER.STATUS) & ~STATUS.INTERRUPT
    setWord(bytes, HEADER.STATUS, status | (this.#asserted ? STATUS.INTERRUPT : 0))
    const hidden = word(bytes, HEADER.COMMAND) & COMMAND.INTX_DISABLE || this.#msiEnabled || this.#msixEnabled
    const line = this.#asserted && !hidden && !this.#muted && bytes[HEADER.INTERRUPT_PIN] !== 0
    if (line === this.#line) return
    this.#line = line
    this.#setLine?.(line)
  }
  /** In D1 to D3 a function sends nothing; what it would say waits. */
  mute(muted: boolean): void {
    this.#muted = muted
    this.update()
  }
  /** The table is zeroed and masked, pending bits and the line are dropped. */
  reset(): void {
    this.table?.reset()
    this.#asserted = false
    this.update()
  }

  /** Lays the table and the pending bits over the window of a BAR, where the capability puts them there. */
  overlay(bar: number, window: MmioWindow | undefined): MmioWindow | undefined {
    const { table } = this
    if (!table) return window
    const tableAt = this.#placeIn(bar, MSIX.TABLE)
    const pendingAt = this.#placeIn(bar, MSIX.PBA)
    if (tableAt === undefined && pendingAt === undefined) return window
    return new MsixWindow(table, tableAt ?? Infinity, pendingAt ?? Infinity, window)
  }

  #placeIn(bar: number, register: number): number | undefined {
    const value = dword(this.#config.bytes, this.#msix + register)
    return (value & MSIX.BIR) === bar ? (value & ~MSIX.BIR) >>> 0 : undefined
  }
  get #msixEnabled(): boolean {
    return this.#msix !== 0 && (word(this.#config.bytes, this.#msix + MSIX.FLAGS) & MSIX.ENABLE) !== 0
  }
  #msixMasked(n: number): boolean {
    const masked = (word(this.#config.bytes, this.#msix + MSIX.FLAGS) & MSIX.MASK_ALL) !== 0
    return this.#muted || masked || (this.table as MsixTable).masked(n)
  }
  #sendMsix(n: number): void {
    const { address, data } = (this.table as MsixTable).message(n)
    this.#dma.sendMsi(address, data)
  }

  get #msiFlags(): number {
    return this.#msi ? word(this.#config.bytes, this.#msi + MSI.FLAGS) : 0
  }
  get #msiEnabled(): boolean {
    return (this.#msiFlags & MSI.ENABLE) !== 0
  }
  /** Software may grant fewer vectors than the function asked for; it then folds them. */
  #raiseMsi(n: number): void {
    const flags = this.#msiFlags
    const vector = n & ((1 << ((flags & MSI.CONFIGURED) >> 4)) - 1)
    const { bytes } = this.#config
    const { mask, pending } = msiLayout(flags)
    if (this.#muted || (flags & MSI.MASKABLE && dword(bytes, this.#msi + mask) & (1 << vector))) {
      if (flags & MSI.MASKABLE) setDword(bytes, this.#msi + pending, dword(bytes, this.#msi + pending) | (1 << vector))
    } else this.#sendMsi(vector)
  }
  #sendMsi(vector: number): void {
    const flags = this.#msiFlags
    const { bytes } = this.#config
    const count = 1 << ((flags & MSI.CONFIGURED) >> 4)
    const low = dword(bytes, this.#msi + MSI.ADDRESS)
    const high = flags & MSI.WIDE ? dword(bytes, this.#msi + MSI.ADDRESS_HIGH) : 0
    const data = word(bytes, this.#msi + msiLayout(flags).data)
    this.#dma.sendMsi((BigInt(high) << 32n) | BigInt(low), (data & ~(count - 1)) | vector)
  }

  #sendPending(): void {
    if (this.#muted) return
    if (this.table && this.#msixEnabled) {
      for (let n = 0; n < this.table.entries; n++) {
        if (!this.table.pending(n) || this.#msixMasked(n)) continue
        this.table.setPending(n, false)
        this.#sendMsix(n)
      }
    }
    const flags = this.#msiFlags
    if (!(flags & MSI.ENABLE) || !(flags & MSI.MASKABLE)) return
    const { bytes } = this.#config
    const { mask, pending } = msiLayout(flags)
    const ready = dword(bytes, this.#msi + pending) & ~dword(bytes, this.#msi + mask)
    setDword(bytes, this.#msi + pending, dword(bytes, this.#msi + pending) & ~ready)
    for (let n = 0; n < 32; n++) if (ready & (1 << n)) this.#sendMsi(n)
  }
}

/** A BAR with the MSI-X structures in it; the rest is the model's. */
class MsixWindow implements MmioWindow {
  readonly #table: MsixTable
  readonly #tableAt: number
  readonly #pendingAt: number
  readonly #below: MmioWindow | undefined

  constructor(table: MsixTable, tableAt: number, pendingAt: number, below: MmioWindow | undefined) {
    this.#table = table
    this.#tableAt = tableAt
    this.#pendingAt = pendingAt
    this.#below = below
  }
  load(offset: number, size: AccessSize): bigint {
    const table = this.#table
    if (inside(offset, this.#tableAt, table.tableBytes)) return table.loadTable(offset - this.#tableAt, size)
    if (inside(offset, this.#pendingAt, table.pendingBytes)) return table.loadPending(offset - this.#pendingAt, size)
    return this.#below?.load(offset, size) ?? 0n
  }
  store(offset: number, size: AccessSize, value: bigint): void {
    const table = this.#table
    if (inside(offset, this.#tableAt, table.tableBytes)) table.storeTable(offset - this.#tableAt, size, value)
    else if (!inside(offset, this.#pendingAt, table.pendingBytes)) this.#below?.store(offset, size, value)
  }
}

const inside = (offset: number, first: number, bytes: number): boolean => offset >= first && offset < first + bytes
