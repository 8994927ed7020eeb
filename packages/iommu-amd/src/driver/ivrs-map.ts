/**
 * What the IVRS table says of each requester id: its unit, its alias, what its device table entry begins with. drivers/iommu/amd/
 * init.c init_iommu_from_acpi, find_last_devid_from_ivhd, set_dev_entry_from_acpi_range, get_highest_supported_ivhd_type.
 */
import type { Bdf } from '@ioasis/core'
import { DTE0, DTE1, DTE2 } from '../spec/device-table.ts'
import { DTE_SETTING, type IvhdBlock, type IvhdDevice } from '../spec/ivrs-table.ts'
import { type Dte, setDte } from './device-table-entry.ts'

/** The blocks that count: of each unit the type that the table's first unit has last; others describe the same units again. */
export function blocksOf(blocks: readonly IvhdBlock[]): readonly IvhdBlock[] {
  const [first] = blocks
  if (!first) return []
  const type = blocks.findLast((block) => block.bdf === first.bdf)?.type
  return blocks.filter((block) => block.type === type)
}

/** One segment's part of the table. */
export class SegmentMap {
  readonly segment: number
  readonly blocks: readonly IvhdBlock[]
  /** The largest requester id that is named. */
  readonly lastBdf: Bdf
  readonly #owner = new Map<Bdf, IvhdBlock>()
  /** The block that takes all, and what it asks for. */
  #all: IvhdBlock | undefined
  readonly #alias = new Map<Bdf, Bdf>()
  readonly #settings: { readonly first: Bdf; readonly last: Bdf; readonly dte: Dte }[] = []

  constructor(segment: number, blocks: readonly IvhdBlock[]) {
    this.segment = segment
    this.blocks = blocks.filter((block) => block.segment === segment)
    this.lastBdf = Math.max(0, ...this.blocks.flatMap(({ devices }) => devices.map(lastNamed)))
    for (const block of this.blocks) for (const device of block.devices) this.#read(block, device)
    // A unit is said to translate itself; it does not.
    for (const { bdf } of this.blocks) this.#owner.set(bdf, NOBODY)
  }

  /** The unit of a requester; undefined: none. */
  unitOf(requester: Bdf): IvhdBlock | undefined {
    if (requester > this.lastBdf) return undefined
    const owner = this.#owner.get(requester) ?? this.#all
    return owner === NOBODY ? undefined : owner
  }
  /** The id that a function's requests carry, as firmware says. */
  aliasOf(requester: Bdf): Bdf {
    return this.#alias.get(requester) ?? requester
  }
  /** Bits that the entry of a requester begins with: of the smallest range that names it. */
  initialDte(requester: Bdf): Dte | undefined {
    let best: { readonly first: Bdf; readonly last: Bdf; readonly dte: Dte } | undefined
    for (const one of this.#settings) {
      if (requester < one.first || requester > one.last) continue
      if (!best || one.last - one.first < best.last - best.first) best = one
    }
    return best?.dte
  }

  #read(block: IvhdBlock, device: IvhdDevice): void {
    switch (device.kind) {
      case 'all':
        // Later entries win.
        this.#all = block
        this.#owner.clear()
        this.#ask(0, this.lastBdf, device.settings)
        return
      case 'select':
      case 'special':
      case 'acpi':
        return this.#take(block, device.bdf, device.bdf, device.settings)
      case 'range':
      case 'extended':
        return this.#take(block, device.first, device.last, device.settings)
      case 'alias':
        this.#take(block, device.bdf, device.bdf, device.settings)
        this.#take(block, device.alias, device.alias, device.settings)
        this.#alias.set(device.bdf, device.alias)
        return
      case 'alias-range':
        for (let id = device.first; id <= device.last; id++) this.#alias.set(id, device.alias)
        this.#take(block, device.alias, device.alias, device.settings)
        this.#take(block, device.first, device.last, device.settings)
    }
  }
  #take(block: IvhdBlock, first: Bdf, last: Bdf, settings: number): void {
    for (let id = first; id <= last; id++) this.#owner.set(id, block)
    this.#ask(first, last, settings)
  }
  /** A range that is named again keeps what was asked first. */
  #ask(first: Bdf, last: Bdf, settings: number): void {
    if (settings === 0 || this.#settings.some((one) => one.first === first && one.last === last)) return
    this.#settings.push({ first, last, dte: settingsDte(settings) })
  }
}

const NOBODY = {} as IvhdBlock

/** The largest id that an entry names; I/O APICs and the like do not count (find_last_devid_from_ivhd). */
function lastNamed(device: IvhdDevice): Bdf {
  if (device.kind === 'all') return 0xffff
  if (device.kind === 'select' || device.kind === 'alias') return device.bdf
  return device.kind === 'special' || device.kind === 'acpi' ? 0 : device.last
}

/** "DTE Setting Field" as bits of an entry; with system management mode 1 writes are allowed (erratum 63). */
function settingsDte(settings: number): Dte {
  const dte = new Int32Array(8)
  const on = (bit: number): number => (settings & bit ? 1 : 0)
  const management = (settings & DTE_SETTING.SysMgt) >>> 4
  setDte(dte, 1, DTE1.SysMgt, management)
  setDte(dte, 0, DTE0.IW, management === 1 ? 1 : 0)
  setDte(dte, 2, DTE2.InitPass, on(DTE_SETTING.InitPass))
  setDte(dte, 2, DTE2.EIntPass, on(DTE_SETTING.EIntPass))
  setDte(dte, 2, DTE2.NMIPass, on(DTE_SETTING.NMIPass))
  setDte(dte, 2, DTE2.Lint0Pass, on(DTE_SETTING.Lint0Pass))
  setDte(dte, 2, DTE2.Lint1Pass, on(DTE_SETTING.Lint1Pass))
  return dte
}
