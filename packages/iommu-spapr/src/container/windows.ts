/**
 * The windows of a container: two slots, the preset one made when it is first needed. What is made is programmed into every
 * group. drivers/vfio/vfio_iommu_spapr_tce.c tce_iommu_create_window, tce_iommu_remove_window, tce_iommu_attach_group.
 */
import {
  type AddressSpace,
  type Caller,
  type DmaWindow,
  type DmaWindows,
  UapiError,
  type WindowShape,
} from '@ioasis/core'
import { type Entries, makeEntries } from './entries.ts'
import type { Ledger } from './ledger.ts'

/** IOMMU_TABLE_GROUP_MAX_TABLES. */
const SLOTS = 2
/** The preset window's page, whatever the CPU's is. */
const PRESET_SHIFT = 12

/** What the windows of one container need of it. */
export interface WindowOwner {
  /** Those of its groups, the newest first. */
  readonly groups: readonly DmaWindows[]
  readonly v2: boolean
  readonly ledger: Ledger
}

/** The windows of one container. */
export class ContainerWindows {
  /** The preset window is made before the next map, unmap or create. */
  presetPending = false
  readonly #owner: WindowOwner
  readonly #entries = new WeakMap<DmaWindow, Entries>()
  readonly #slots: (DmaWindow | undefined)[] = Array.from({ length: SLOTS }, () => undefined)

  constructor(owner: WindowOwner) {
    this.#owner = owner
  }
  /** The first slot is taken. */
  get hasFirst(): boolean {
    return this.#slots[0] !== undefined
  }
  /** Those that exist. */
  get all(): readonly DmaWindow[] {
    return this.#slots.filter((window) => window !== undefined)
  }
  /** The slot of the window that holds an iova; undefined: none does. */
  slotAt(iova: bigint): number | undefined {
    const slot = this.#slots.findIndex((w) => w !== undefined && w.first <= iova && iova < w.first + w.bytes)
    return slot < 0 ? undefined : slot
  }
  /** @throws UapiError ENXIO when no window holds the iova */
  at(iova: bigint, operation: string): DmaWindow {
    const window = this.#slots[this.slotAt(iova) ?? SLOTS]
    if (!window) throw new UapiError('ENXIO', operation, { iova })
    return window
  }
  /** Makes and clears entries of a window. */
  entriesOf(window: DmaWindow, space: AddressSpace): Entries {
    let entries = this.#entries.get(window)
    if (!entries) this.#entries.set(window, (entries = makeEntries(window, space, this.#owner.v2)))
    return entries
  }
  /** @throws UapiError as `create`; it is still to be made then */
  makePreset(caller: Caller, space: AddressSpace): void {
    if (!this.presetPending) return
    const bytes = this.#first().limits.dma32.bytes
    this.create(caller, space, { pageShift: PRESET_SHIFT, bytes, levels: 1 })
    this.presetPending = false
  }
  /**
   * @returns where it lies
   * @throws UapiError ENOSPC, EINVAL for a page size or shape the platform lacks, ENOMEM beyond the limit, what the platform
   *   answers. Where it fails to make the table, Linux keeps the charge
   */
  create(caller: Caller, space: AddressSpace, shape: WindowShape): bigint {
    const slot = this.#slots.indexOf(undefined)
    if (slot < 0) throw new UapiError('ENOSPC', 'VFIO_IOMMU_SPAPR_TCE_CREATE')
    const first = this.#first()
    const { pageShift } = shape
    if (pageShift > 63 || (first.limits.pageSizes & (1n << BigInt(pageShift))) === 0n)
      throw new UapiError('EINVAL', 'VFIO_IOMMU_SPAPR_TCE_CREATE', { pageShift })
    const window = this.#table(caller, space, slot, shape)
    const { groups } = this.#owner
    try {
      for (const group of groups) group.set(slot, window)
    } catch (error) {
      for (const group of groups) unset(group, slot)
      this.#free(window, space)
      throw error
    }
    this.#slots[slot] = window
    return window.first
  }
  /** @throws UapiError EINVAL when no window holds the iova */
  remove(space: AddressSpace, iova: bigint): void {
    const slot = this.slotAt(iova)
    const window = this.#slots[slot ?? SLOTS]
    if (!window || slot === undefined) throw new UapiError('EINVAL', 'VFIO_IOMMU_SPAPR_TCE_REMOVE', { iova })
    this.#clear(window, space)
    for (const group of this.#owner.groups) unset(group, slot)
    this.#free(window, space)
    this.#slots[slot] = undefined
  }
  /** A group comes: it gets the windows that exist. @throws UapiError EPERM, EIO; it has none then */
  give(group: DmaWindows): void {
    try {
      this.#slots.forEach((window, slot) => {
        if (window) group.set(slot, window)
      })
    } catch (error) {
      for (let slot = 0; slot < SLOTS; slot++) unset(group, slot)
      throw error
    }
  }
  /** A group goes: whatever is mapped goes with it, for those that stay as well. */
  takeFrom(group: DmaWindows, space: AddressSpace | undefined): void {
    this.#slots.forEach((window, slot) => {
      if (!window) return
      if (space) this.#clear(window, space)
      unset(group, slot)
    })
  }
  /** The container goes. */
  freeAll(space: AddressSpace | undefined): void {
    this.#slots.forEach((window, slot) => {
      if (window && space) this.#free(window, space)
      this.#slots[slot] = undefined
    })
  }

  /** Charged before it is made, and not given back when it cannot be. */
  #table(caller: Caller, space: AddressSpace, slot: number, shape: WindowShape): DmaWindow {
    const { ledger } = this.#owner
    const first = this.#first()
    const bytes = first.tableBytes(shape)
    if (bytes === 0n) throw new UapiError('EINVAL', 'VFIO_IOMMU_SPAPR_TCE_CREATE', { ...shape })
    const pages = ledger.pagesOf(bytes)
    ledger.charge(caller, space, pages)
    try {
      return first.create(slot, shape)
    } catch (error) {
      ledger.lose(space, pages)
      throw error
    }
  }
  #clear(window: DmaWindow, space: AddressSpace): void {
    this.entriesOf(window, space).clear(0, window.entries)
  }
  #free(window: DmaWindow, space: AddressSpace): void {
    const pages = this.#owner.ledger.pagesOf(window.tableBytes)
    window.put()
    this.#owner.ledger.uncharge(space, pages)
  }
  #first(): DmaWindows {
    const first = this.#owner.groups[0]
    if (!first) throw new UapiError('ENODEV', 'VFIO_IOMMU_SPAPR_TCE_CREATE')
    return first
  }
}

/** What the platform answers is not asked for (ops->unset_window): the window is let go whatever it says. */
function unset(group: DmaWindows, slot: number): void {
  try {
    group.unset(slot)
  } catch (error) {
    if (!(error instanceof UapiError)) throw error
  }
}
