/**
 * A partitionable endpoint of powernv and its windows. arch/powerpc/platforms/powernv/pci-ioda.c pnv_pci_ioda2_setup_dma_pe,
 * pnv_pci_ioda2_set_window, pnv_ioda2_take_ownership and others.
 */
import {
  type Bdf,
  busOf,
  type Claim,
  type DmaWindow,
  type Iova,
  type IovaRange,
  type PciFunction,
  type Trace,
  UapiError,
  type WindowShape,
} from '@ioasis/core'
import { BUS_COMPARE, OPAL, type OpalFirmware, TCE_KILL } from '../../spec/opal.ts'
import { TVE_LEVELS_MAX, WINDOW1_FIRST, WINDOWS } from '../../spec/tve.ts'
import type { Endpoint } from '../endpoint.ts'
import { PnvRecovery } from './recovery.ts'
import { isPowerOfTwo, log2, PnvWindow, tableBytes, type TableMemory } from './window.ts'

/** Largest block of pages, log2: 16 MiB. */
const BLOCK = 24
/** POWERNV_IOMMU_DEFAULT_LEVELS. */
const DEFAULT_LEVELS = 2

/** What all endpoints of a machine share. */
export interface PnvParts {
  readonly memory: TableMemory
  readonly opal: OpalFirmware
  readonly trace: Trace
  /** End of RAM. */
  readonly ram: bigint
  /** Bytes of the 32-bit window. */
  readonly dma32: bigint
  /** Bit n set: TCE pages of 2^n bytes. */
  readonly pageSizes: bigint
  /** Errors are recovered (EEH). */
  readonly eeh: boolean
  /** Told of windows as they are made and freed. */
  readonly windows: Set<PnvWindow>
}

/** Requester ids: those of whole buses, or one. */
export interface RequesterRange {
  readonly first: Bdf
  readonly last: Bdf
}
/** Where an endpoint stands. */
export interface PnvPlace {
  /** Number of the bridge for firmware, and of its PCI domain. */
  readonly phb: number
  readonly unit: string
  readonly number: number
  readonly requesters: RequesterRange
}

/** One endpoint of one bridge. */
export class PnvEndpoint implements Endpoint {
  readonly platform: object
  readonly name: string
  readonly unit: string
  readonly tag: number
  readonly number: number
  readonly requesters: RequesterRange
  readonly limits: Endpoint['limits']
  readonly present: (PnvWindow | undefined)[] = [undefined, undefined]
  readonly recovery: PnvRecovery | undefined
  readonly functions: PciFunction[] = []
  /** Its windows were set up: a function that is no bridge stands in it. */
  hasDma = false
  readonly #parts: PnvParts
  readonly #phb: number

  constructor(parts: PnvParts, { phb, unit, number, requesters }: PnvPlace) {
    this.platform = parts.opal
    this.name = `domain${phb.toString(16)}-pe${number.toString(16)}`
    this.unit = unit
    this.number = number
    this.requesters = requesters
    this.tag = 0x1_0000 + number
    this.limits = {
      count: WINDOWS,
      pageSizes: parts.pageSizes,
      levels: TVE_LEVELS_MAX,
      dma32: { first: 0n, bytes: parts.dma32 },
    }
    this.#parts = parts
    this.#phb = phb
    const { opal } = parts
    if (parts.eeh) this.recovery = new PnvRecovery({ opal, phb, pe: number, functions: () => this.functions })
  }

  /** Its requesters are given to it, or taken away: pnv_ioda_configure_pe(), pnv_ioda_deconfigure_pe(). */
  own(on: boolean): void {
    const { opal } = this.#parts
    const { first, last } = this.requesters
    if (first === last) opal.setPe(this.#phb, this.number, first, BUS_COMPARE.ALL, true, on)
    else
      for (let bus = busOf(first); bus <= busOf(last); bus++)
        opal.setPe(this.#phb, this.number, bus << 8, BUS_COMPARE.ALL, false, on)
  }
  /** pnv_pci_ioda2_setup_dma_pe(). @throws UapiError ENOMEM */
  setUp(): void {
    if (this.hasDma) return
    this.#makeDefault()
    this.hasDma = true
  }
  joined(fn: PciFunction): void {
    this.functions.push(fn)
  }
  /** The last function left: its windows go (pnv_pci_ioda2_release_pe_dma). @returns whether it is empty */
  left(fn: PciFunction): boolean {
    this.functions.splice(this.functions.indexOf(fn), 1)
    this.recovery?.left(fn)
    if (this.functions.length > 0) return false
    this.#dropDefault()
    this.hasDma = false
    return true
  }

  tableBytes(shape: WindowShape): bigint {
    return tableBytes(shape, this.#parts.memory.pageSize)
  }
  create(slot: number, shape: WindowShape): PnvWindow {
    return this.#table(slot, shape, this.tableBytes(shape))
  }
  set(slot: number, window: DmaWindow): void {
    const table = window as PnvWindow
    const { opal } = this.#parts
    const number = this.number * 2 + slot
    const pageBytes = 2 ** table.pageShift
    const rc = opal.mapPeDmaWindow(
      this.#phb,
      this.number,
      number,
      table.levels,
      table.root,
      table.levelBytes,
      pageBytes,
    )
    if (rc !== OPAL.SUCCESS) throw new UapiError('EIO', 'pnv_pci_ioda2_set_window', { pe: this.number, slot, rc })
    table.links.unshift({ group: this, slot })
    table.hold()
    this.present[slot] = table
    this.#killAll()
  }
  unset(slot: number): void {
    const { opal } = this.#parts
    const rc = opal.mapPeDmaWindow(this.#phb, this.number, this.number * 2 + slot, 0, 0, 0, 0)
    if (rc === OPAL.SUCCESS) this.#killAll()
    const table = this.present[slot]
    if (!table) return
    table.links.splice(
      table.links.findIndex(({ group }) => group === this),
      1,
    )
    this.present[slot] = undefined
    table.put()
  }

  take(): void {
    const table = this.present[0]
    if (!table) return
    this.#bypass(false)
    this.unset(0)
    table.put()
    this.recovery?.changeOwner()
  }
  giveBack(): void {
    if (this.present[0]) return
    this.recovery?.changeOwner()
    this.#makeDefault()
  }
  /** The bypass reaches all of memory: a wider mask needs nothing more. */
  setDmaMask(): void {
    return
  }
  killPages(pageBytes: number, hi: number, lo: number, pages: number): void {
    this.#parts.opal.tceKill(this.#phb, TCE_KILL.PAGES, this.number, pageBytes, hi, lo, pages)
    const { trace } = this.#parts
    if (trace.wants('flushed')) {
      const iova = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)
      trace.emit('flushed', { unit: this.unit, what: 'TCE kill', iova, bytes: BigInt(pages) * BigInt(pageBytes) })
    }
  }
  /** The windows' own claims are told once for each table, by the driver. */
  claims(_near?: IovaRange): readonly Claim[] {
    return []
  }

  /** pnv_pci_ioda2_setup_default_config(): pages of the CPU, as much as RAM, two levels; and everything at bit 59. */
  #makeDefault(): void {
    const { pageSize } = this.#parts.memory
    const pageShift = Math.log2(pageSize)
    const ram = 1n << BigInt(log2(this.#parts.ram))
    const widest = 1n << BigInt(BLOCK + 3 + pageShift)
    const bytes = ram < widest ? ram : widest
    const levels = Math.max(Math.ceil((log2(bytes) - pageShift) / (BLOCK - 3)), DEFAULT_LEVELS)
    const table = this.#table(0, { pageShift, bytes, levels }, 0n)
    try {
      this.set(0, table)
    } catch (error) {
      table.put()
      throw error
    }
    this.#bypass(true)
  }
  #dropDefault(): void {
    const table = this.present[0]
    if (!table) return
    this.#bypass(false)
    this.unset(0)
    table.put()
  }
  /** @param slot decides the address: the first one starts at 0 whatever its size, the second one at bit 59 */
  #table(slot: number, shape: WindowShape, charged: bigint): PnvWindow {
    const { memory, windows } = this.#parts
    const first: Iova = slot === 0 ? this.limits.dma32.first : WINDOW1_FIRST
    const table = new PnvWindow(memory, first, shape, charged, (freed) => windows.delete(freed))
    windows.add(table)
    return table
  }
  #bypass(on: boolean): void {
    const { opal, ram } = this.#parts
    const bytes = isPowerOfTwo(ram) ? ram : 1n << BigInt(log2(ram) + 1)
    opal.mapPeDmaWindowReal(this.#phb, this.number, this.number * 2 + 1, WINDOW1_FIRST, on ? bytes : 0n)
  }
  #killAll(): void {
    const { opal, trace } = this.#parts
    opal.tceKill(this.#phb, TCE_KILL.PE, this.number, 0, 0, 0, 0)
    if (trace.wants('flushed')) trace.emit('flushed', { unit: this.unit, what: 'TCE kill of the endpoint' })
  }
}
