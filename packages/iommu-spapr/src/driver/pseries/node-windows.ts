/**
 * The windows a bridge's node names, and what firmware is told of them. arch/powerpc/platforms/pseries/iommu.c
 * remove_dma_window_named, restore_default_dma_window, find_existing_ddw, tce_setrange_multi_pSeriesLP.
 */
import type { Cpu, PageAllocator, PciFunction } from '@ioasis/core'
import {
  type DeviceNode,
  dynamicWindow,
  DYNAMIC_WINDOW_BYTES,
  parseDefaultWindow,
  PROPERTY,
  type WindowProperty,
} from '../../spec/device-tree.ts'
import { H, H_ENTRIES_MAX, type TceHypercalls } from '../../spec/hypercall.ts'
import { swap32, TCE } from '../../spec/tce.ts'
import type { Ddw } from './ddw.ts'
import { LparWindow } from './window.ts'

/** A window of the kernel's own list (`struct dma_win`). */
export interface ListedWindow {
  readonly liobn: number
  readonly first: bigint
  readonly pageShift: number
  readonly windowShift: number
  /** All of RAM is mapped in it for good. */
  readonly direct: boolean
}

/** The windows of one node. */
export class NodeWindows {
  /** The one dynamic window there is; undefined: none. */
  listed: ListedWindow | undefined
  readonly #node: DeviceNode
  readonly #ddw: Ddw
  readonly #calls: TceHypercalls

  constructor(node: DeviceNode, ddw: Ddw, calls: TceHypercalls) {
    this.#node = node
    this.#ddw = ddw
    this.#calls = calls
  }

  /** The default window's property is there; not while user space owns the endpoint. */
  get hasDefault(): boolean {
    return this.#node.has(PROPERTY.DEFAULT)
  }
  /** pci_dma_find(): the node names a window of any kind. */
  get any(): boolean {
    return [PROPERTY.DEFAULT, PROPERTY.DIRECT64, PROPERTY.DMA64].some((name) => this.#node.has(name))
  }
  /** What the default window's property says. */
  get preset(): WindowProperty {
    return parseDefaultWindow(this.#node.get(PROPERTY.DEFAULT) ?? new Uint8Array())
  }
  /** A window firmware made. */
  list(window: ListedWindow): void {
    this.listed = window
    this.#node.set(window.direct ? PROPERTY.DIRECT64 : PROPERTY.DMA64, dynamicWindow(window))
  }
  /**
   * remove_dma_window_named(): firmware is told only of windows whose property is the kernel's own record.
   * @param clean empties it before
   * @returns false when there is no such property
   */
  remove(name: string, clean: boolean): boolean {
    const property = this.#node.get(name)
    if (!property) return false
    if (!this.#ddw.applicable) return true
    if (property.length >= DYNAMIC_WINDOW_BYTES && this.listed) {
      if (clean) this.#clean(this.listed)
      this.#ddw.remove(this.listed.liobn)
    }
    if (name === PROPERTY.DEFAULT) this.park()
    else this.#node.delete(name)
    return true
  }
  /** The default window's property is put aside: a reset of firmware does not bring it back. */
  park(): void {
    const property = this.#node.get(PROPERTY.DEFAULT)
    if (property && !this.#node.has(PROPERTY.SAVED)) this.#node.set(PROPERTY.SAVED, property)
    this.#node.delete(PROPERTY.DEFAULT)
  }
  /** restore_default_dma_window(). */
  restoreDefault(fn: PciFunction): void {
    this.#ddw.reset(fn)
    const saved = this.#node.get(PROPERTY.SAVED)
    if (saved && !this.hasDefault) this.#node.set(PROPERTY.DEFAULT, saved)
  }
  /** clean_dma_window(). */
  #clean({ liobn, first, pageShift, windowShift }: ListedWindow): void {
    const entries = 2 ** (windowShift - pageShift)
    new LparWindow(this.#calls, { liobn, first, pageShift, entries, tableBytes: 0n }).clear()
  }
}

/** What all of RAM is mapped with. */
export interface DirectMapping {
  readonly calls: TceHypercalls
  readonly cpu: Cpu
  readonly pages: PageAllocator
  /** End of RAM. */
  readonly ram: bigint
}

/** Maps all of RAM, one list of 512 entries after the other. @throws UapiError ENOMEM */
export function mapAll(
  { calls, cpu, pages, ram }: DirectMapping,
  { liobn, first, pageShift }: Omit<ListedWindow, 'windowShift' | 'direct'>,
): void {
  const list = pages.alloc(4096, 'tce_page')
  const page = 2 ** pageShift
  const total = Math.ceil(Number(ram) / page)
  for (let done = 0; done < total; done += H_ENTRIES_MAX) {
    const count = Math.min(total - done, H_ENTRIES_MAX)
    for (let i = 0; i < count; i++) {
      const hpa = (done + i) * page
      cpu.storeWords(list + 8 * i, swap32((hpa / 0x1_0000_0000) | 0), swap32(hpa | 0 | TCE.BOTH))
    }
    const ioba = first + BigInt(done) * BigInt(page)
    const [hi, lo] = [Number(ioba >> 32n), Number(ioba & 0xffff_ffffn) | 0]
    if (calls.putTceIndirect(liobn, hi, lo, list, count) !== H.SUCCESS) break
  }
  pages.free(list, 4096)
}
