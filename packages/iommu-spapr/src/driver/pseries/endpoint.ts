/**
 * A host bridge's one endpoint of pseries and its windows. arch/powerpc/platforms/pseries/iommu.c spapr_tce_create_table,
 * spapr_tce_unset_window, spapr_tce_take_ownership and others; `enable_ddw` for the kernel's own window.
 *
 * Two peculiarities of the kernel decide much: taking ownership drops the property of the default window without telling
 * firmware, which goes on counting it; and an endpoint whose window firmware refused is never tried again.
 */
import {
  type Claim,
  type DmaWindow,
  type Errno,
  type IovaRange,
  type PciFunction,
  UapiError,
  type WindowShape,
} from '@ioasis/core'
import { type DeviceNode, PROPERTY } from '../../spec/device-tree.ts'
import { largestShift, pageSizesOf, type RtasFirmware } from '../../spec/rtas.ts'
import type { Endpoint } from '../endpoint.ts'
import { Ddw } from './ddw.ts'
import { type DirectMapping, mapAll, NodeWindows } from './node-windows.ts'
import { LparWindow } from './window.ts'

const SHIFT_4K = 12
/** Windows at a time when firmware has one to spare. */
const WINDOWS = 2
/** What an unsigned -1 says: there are no dynamic windows. */
const NO_DYNAMIC_WINDOWS = 0xffff_ffff

/** What all endpoints of a partition share. */
export interface LparParts extends DirectMapping {
  readonly rtas: RtasFirmware
}

/** One bridge's endpoint. */
export class LparEndpoint implements Endpoint {
  readonly platform: object
  readonly name: string
  readonly unit: string
  readonly tag = 0
  readonly recovery = undefined
  readonly present: (LparWindow | undefined)[] = [undefined, undefined]
  readonly functions: PciFunction[] = []
  limits: Endpoint['limits']
  readonly #parts: LparParts
  readonly #named: NodeWindows
  readonly #ddw: Ddw
  #queried = false
  /** Firmware refused a window, or had none to remove. */
  #failed = false

  /** pci_dma_bus_setup_pSeriesLP(): the default window is cleared. */
  constructor(parts: LparParts, node: DeviceNode, place: { segment: number; unit: string; buid: bigint }) {
    this.platform = parts
    this.name = `domain${place.segment.toString(16)}-pe0`
    this.unit = place.unit
    this.#parts = parts
    this.#ddw = new Ddw(parts.rtas, node, place.buid)
    this.#named = new NodeWindows(node, this.#ddw, parts.calls)
    this.present[0] = this.#default()
    this.limits = { count: 0, pageSizes: 1n << BigInt(SHIFT_4K), levels: 0, dma32: { first: 0n, bytes: 0n } }
  }

  /** pci_dma_dev_setup_pSeriesLP(): the first function brings to light what firmware offers. */
  joined(fn: PciFunction): void {
    this.functions.push(fn)
    if (!this.#queried) this.#query(fn)
    this.#queried = true
  }
  left(fn: PciFunction): void {
    this.functions.splice(this.functions.indexOf(fn), 1)
  }

  /** spapr_tce_get_table_size(). */
  tableBytes({ pageShift, bytes, levels }: WindowShape): bigint {
    return levels > 1 ? 0xffff_ffffn : bytes >> BigInt(pageShift - 3)
  }

  /** spapr_tce_create_table(): firmware programs the window by making it. */
  create(slot: number, shape: WindowShape): LparWindow {
    const { bytes, levels, pageShift } = shape
    if (bytes <= 0n || (bytes & (bytes - 1n)) !== 0n || levels > 1) throw this.#error('EINVAL', shape)
    if (this.#failed) throw this.#error('ENODEV', shape)
    const restored = slot === 0 ? this.#firstSlot(shape) : undefined
    const table = restored ?? this.#dynamic(shape)
    table.tableBytes = this.tableBytes({ bytes, levels, pageShift })
    this.present[slot] = table
    table.hold()
    return table
  }
  /** spapr_tce_set_window(): only what was made for this very endpoint. */
  set(slot: number, window: DmaWindow): void {
    if (window !== this.present[slot]) throw new UapiError('EPERM', 'spapr_tce_set_window', { slot })
  }
  /** spapr_tce_unset_window(). Entries are left as they are. */
  unset(slot: number): void {
    const table = this.present[slot]
    if (!table) return
    const preset = slot === 0 && this.#isDefault(table)
    const name = preset ? PROPERTY.DEFAULT : PROPERTY.DMA64
    if (!this.#named.any || !this.#named.remove(name, false)) {
      this.#failed = true
      throw new UapiError('ENODEV', 'spapr_tce_unset_window', { slot })
    }
    if (!preset) this.#named.listed = undefined
    table.put()
    this.present[slot] = undefined
  }

  /** spapr_tce_take_ownership(). @throws UapiError EPERM when the node has no window any more */
  take(): void {
    const table = this.present[0]
    if (!table && this.limits.count !== 1) return
    if (!this.#named.any) throw new UapiError('EPERM', 'spapr_tce_take_ownership', { endpoint: this.name })
    this.#removeListed()
    const left = this.present[0]
    if (!left) return
    this.#named.remove(PROPERTY.DEFAULT, true)
    left.put()
    this.present[0] = undefined
  }
  /** spapr_tce_release_ownership(), pseries_setup_presetiommu_config(). */
  giveBack(fn: PciFunction): void {
    if (this.present[0]) return
    this.#named.restoreDefault(fn)
    this.present[0] = this.#default()
  }

  /** enable_ddw(): a device with more than 32 address bits has all of RAM mapped at once, where firmware has room. */
  setDmaMask(fn: PciFunction, bits: number): void {
    if (bits <= 32 || !this.#named.any || this.#named.listed || this.#failed) return
    if (!this.#enable(fn, bits)) this.#failed = true
  }

  claims(near?: IovaRange): readonly Claim[] {
    return this.present.flatMap((table) => table?.claims(this.unit, near) ?? [])
  }

  /** spapr_tce_init_table_group(). */
  #query(fn: PciFunction): void {
    const { first, bytes } = this.#named.preset
    const dma32 = { first, bytes }
    const pageSizes = 1n << BigInt(SHIFT_4K)
    const query = this.#ddw.applicable ? this.#ddw.query(fn) : undefined
    if (!query) {
      this.limits = { count: NO_DYNAMIC_WINDOWS, pageSizes, levels: 0, dma32 }
      return
    }
    const count = query.windows === 0 ? 1 : WINDOWS
    this.limits = { count, pageSizes: pageSizes | pageSizesOf(query.pageSizes), levels: 1, dma32 }
  }

  /** The table of the default window as the node tells it, cleared. */
  #default(entries?: number): LparWindow {
    const { liobn, first, bytes } = this.#named.preset
    const all = Number(bytes >> BigInt(SHIFT_4K))
    const shape = { liobn, first, pageShift: SHIFT_4K, entries: entries ?? all, tableBytes: 0n }
    const table = new LparWindow(this.#parts.calls, shape)
    table.clear()
    return table
  }
  /** What the first slot takes in place of a dynamic window: the default one, if that is wanted and was put away. */
  #firstSlot(shape: WindowShape): LparWindow | undefined {
    const wantsDefault = shape.bytes <= this.limits.dma32.bytes && shape.pageShift === SHIFT_4K
    if (!wantsDefault) {
      if (this.#named.listed) throw this.#error('EPERM', shape)
      return undefined
    }
    if (this.#named.hasDefault) return undefined
    // Firmware's reset would take the 64-bit window along.
    if (this.#named.listed) throw this.#error('EPERM', shape)
    this.#named.restoreDefault(this.#anyone())
    return this.#default(Number(shape.bytes >> BigInt(SHIFT_4K)))
  }
  #dynamic(shape: WindowShape): LparWindow {
    const { bytes, pageShift } = shape
    const fn = this.#anyone()
    const fail = (errno: Errno): UapiError => {
      this.#failed = true
      return this.#error(errno, shape)
    }
    if (!this.#ddw.applicable) throw fail('EINVAL')
    const query = this.#ddw.query(fn)
    if (!query) throw fail('ENODEV')
    const windowShift = bytes.toString(2).length - 1
    // A window smaller than its page asks for a negative shift, which the CPU answers with 0 entries.
    const entries = windowShift >= pageShift ? 1n << BigInt(windowShift - pageShift) : 0n
    if (query.block < entries) throw this.#error('EINVAL', shape)
    const made = this.#ddw.create(fn, pageShift, windowShift)
    if (!made) throw fail('ENODEV')
    this.#named.list({ ...made, pageShift, windowShift, direct: false })
    const table = new LparWindow(this.#parts.calls, { ...made, pageShift, entries: Number(entries), tableBytes: 0n })
    table.clear()
    return table
  }

  #enable(fn: PciFunction, bits: number): boolean {
    let query = this.#ddw.applicable ? this.#ddw.query(fn) : undefined
    if (!query || (bits < 64 && !this.#ddw.limit(fn))) return false
    let replaced = false
    if (query.windows === 0) {
      if (!this.#named.hasDefault || !this.#ddw.resets) return false
      this.#removeFromFirmware(this.present[0])
      replaced = true
      query = this.#ddw.query(fn)
      if (!query || query.windows === 0) return this.#giveUp(fn)
    }
    const pageShift = largestShift(query.pageSizes)
    const ram = orderOf(this.#parts.ram)
    const room = Math.min(orderOf(query.block << BigInt(pageShift)), bits)
    const direct = room >= ram
    const windowShift = direct ? ram : room
    const made = pageShift === 0 ? undefined : this.#ddw.create(fn, pageShift, windowShift)
    if (!made) return replaced || bits < 64 ? this.#giveUp(fn) : false
    this.#named.list({ ...made, pageShift, windowShift, direct })
    if (direct) mapAll(this.#parts, { ...made, pageShift })
    else {
      const entries = 2 ** (windowShift - pageShift)
      const table = new LparWindow(this.#parts.calls, { ...made, pageShift, entries, tableBytes: 0n })
      table.clear()
      this.present[replaced ? 0 : 1] = table
    }
    if (replaced) {
      if (direct) {
        this.present[0]?.put()
        this.present[0] = undefined
      }
      this.#named.park()
    }
    return true
  }
  #giveUp(fn: PciFunction): false {
    this.#ddw.reset(fn)
    return false
  }
  #removeFromFirmware(table: LparWindow | undefined): void {
    table?.clear()
    if (table) this.#ddw.remove(table.liobn)
  }
  /** remove_dynamic_dma_windows(): the kernel's own, cleared first. */
  #removeListed(): void {
    const listed = this.#named.listed
    if (!listed) return
    this.#named.remove(listed.direct ? PROPERTY.DIRECT64 : PROPERTY.DMA64, true)
    if (!listed.direct) {
      const slot = this.present[1] ? 1 : 0
      this.present[slot]?.put()
      this.present[slot] = undefined
    }
    this.#named.listed = undefined
  }
  #isDefault({ bytes, pageShift }: LparWindow): boolean {
    return bytes <= this.limits.dma32.bytes && pageShift === SHIFT_4K
  }
  /** iommu_group_get_first_pci_dev(). */
  #anyone(): PciFunction {
    const [fn] = this.functions
    if (!fn) throw new UapiError('ENODEV', 'iommu_group_get_first_pci_dev', { endpoint: this.name })
    return fn
  }
  #error(errno: Errno, { pageShift, bytes, levels }: WindowShape): UapiError {
    return new UapiError(errno, 'spapr_tce_create_table', { pageShift, bytes, levels })
  }
}

/** order_base_2(): log2, rounded up. */
const orderOf = (value: bigint): number => (value <= 1n ? 0 : (value - 1n).toString(2).length)
