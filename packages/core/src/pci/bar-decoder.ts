/** Puts the windows of a function's memory BARs into physical memory, and takes them out, as its registers say. */
import type { HostMemory } from '../memory/host-memory.ts'
import { HPA_BITS } from '../memory/host-memory.ts'
import type { MmioWindow } from '../memory/backing.ts'
import { dword } from './capability-chain.ts'
import type { Bar } from './function.ts'
import { barOffset, isBridge } from './write-masks.ts'

/** What the decoder asks. */
export interface Decoding {
  readonly memory: HostMemory
  readonly bytes: Uint8Array
  readonly bars: readonly Bar[]
  /** For messages and `HostMemory.whatIs`. */
  readonly name: string
  /** The address a BAR was given; 0: none. */
  given(bar: Bar): number
  /** The window of a BAR; undefined: reads give zero, writes are lost. */
  window(bar: Bar): MmioWindow | undefined
  /** COMMAND.Memory, power state and the bridges above let accesses to [first, last] through. */
  reaches(first: number, last: number): boolean
}

const SILENT: MmioWindow = { load: () => 0n, store: () => undefined }
/** What a frozen endpoint's registers read as. */
const ALL_ONES: MmioWindow = { load: (_offset, size) => (1n << BigInt(8 * size)) - 1n, store: () => undefined }

/** The BARs of one function. */
export class BarDecoder {
  readonly #of: Decoding
  readonly #windows = new Map<Bar, MmioWindow>()
  readonly #placed = new Map<Bar, { readonly address: number; readonly remove: () => void }>()

  constructor(of: Decoding) {
    this.#of = of
    for (const bar of of.bars) if (bar.space !== 'io') this.#windows.set(bar, of.window(bar) ?? SILENT)
  }

  /** All ones in place of the windows, or the windows again. */
  isolate(on: boolean): void {
    if (this.isolated === on) return
    this.isolated = on
    this.removeAll()
    this.update()
  }
  isolated = false

  /** Registers changed, here or in a bridge above: moves each window to where it now belongs. */
  update(): void {
    for (const [bar, window] of this.#windows) {
      const now = this.#placed.get(bar)
      const address = this.wants(bar)
      if (now?.address === address) continue
      now?.remove()
      this.#placed.delete(bar)
      if (address === undefined) continue
      const { memory, name } = this.#of
      const remove = memory.addMmio(
        address,
        bar.size,
        this.isolated ? ALL_ONES : window,
        `${name} ${bar.index < 6 ? `BAR${bar.index}` : 'ROM'}`,
      )
      this.#placed.set(bar, { address, remove })
    }
  }

  /** Where the registers want a memory BAR decoded; undefined: nowhere. An address of 0 means that none was given. */
  wants(bar: Bar): number | undefined {
    const { bytes } = this.#of
    if (bar.space === 'rom' && !(dword(bytes, barOffset(bar.index, isBridge(bytes))) & 1)) return undefined
    const address = this.#of.given(bar)
    const last = address + bar.size - 1
    if (address === 0 || last >= 2 ** HPA_BITS) return undefined
    return this.#of.reaches(address, last) ? address : undefined
  }

  /** Where a memory BAR answers now. */
  address(bar: Bar): number | undefined {
    return this.#placed.get(bar)?.address
  }
  /** Ranges answered now. */
  get ranges(): readonly { readonly bar: Bar; readonly first: number; readonly last: number }[] {
    return [...this.#placed].map(([bar, { address }]) => ({ bar, first: address, last: address + bar.size - 1 }))
  }

  /** The function is gone. */
  removeAll(): void {
    for (const { remove } of this.#placed.values()) remove()
    this.#placed.clear()
  }
}
