/**
 * Who translates each requester of one segment, and whose interrupts it sends. Several functions may share a requester id: those
 * behind a bridge that puts its own on their requests, and those whose alias firmware names. What an entry says of interrupts
 * does not follow what is attached: a table stays from a function's first vectors on. drivers/iommu/amd/iommu.c
 * amd_iommu_update_dte, clone_aliases, device_flush_dte, write_dte_upper128; alloc_irq_table, set_remap_table_entry_alias.
 *
 * Departs from Linux in two ways, both towards more isolation: an entry that is replaced goes from the old domain to the new one,
 * where Linux clears it first and lets DMA fault in between; and a shared entry goes when the last function that uses it leaves,
 * where Linux clears it with the first.
 */
import type { Bdf } from '@ioasis/core'
import { type DeviceTable } from './device-table.ts'
import type { Dte } from './device-table-entry.ts'
import type { InterruptTable } from './interrupt-table.ts'
import type { IvhdUnit } from './ivhd-unit.ts'

interface Use {
  readonly device: object
  readonly dte: Dte
}

/** The entries of one segment, with those who use them. */
export class RequesterEntries {
  readonly #table: DeviceTable
  readonly #uses = new Map<Bdf, readonly Use[]>()
  /** The table that stands in an entry is the last one. */
  readonly #interrupts = new Map<Bdf, readonly InterruptTable[]>()

  constructor(table: DeviceTable) {
    this.#table = table
  }

  get table(): DeviceTable {
    return this.#table
  }
  /** Functions that use a requester's entry: the one it was written for comes last. */
  usersOf(requester: Bdf): readonly object[] {
    return (this.#uses.get(requester) ?? []).map((use) => use.device)
  }

  /** Gives requesters an entry; the unit was told to forget the old one, and has. */
  set(unit: IvhdUnit, device: object, requesters: readonly Bdf[], dte: Dte): void {
    for (const requester of requesters) {
      const others = (this.#uses.get(requester) ?? []).filter((use) => use.device !== device)
      this.#uses.set(requester, [...others, { device, dte }])
      this.#write(unit, requester, dte)
    }
  }

  /** Takes a function's entries away. One that others use goes on as the last of them wanted it; else it is `empty`. */
  clear(unit: IvhdUnit, device: object, requesters: readonly Bdf[], empty: Dte): void {
    for (const requester of requesters) {
      const others = (this.#uses.get(requester) ?? []).filter((use) => use.device !== device)
      if (others.length > 0) this.#uses.set(requester, others)
      else this.#uses.delete(requester)
      this.#write(unit, requester, others.at(-1)?.dte ?? empty)
    }
  }

  /** Messages of requesters go through a table now, whoever's they went through before. */
  connect(unit: IvhdUnit, requesters: readonly Bdf[], table: InterruptTable): void {
    for (const requester of requesters) {
      this.#interrupts.set(requester, [...(this.#interrupts.get(requester) ?? []), table])
      this.#tell(unit, requester, table)
    }
  }
  /** A table is about to go: entries that hold it get the one they had before, or none. */
  disconnect(unit: IvhdUnit, requesters: readonly Bdf[], table: InterruptTable): void {
    for (const requester of requesters) {
      const all = this.#interrupts.get(requester) ?? []
      const others = all.filter((one) => one !== table)
      if (others.length > 0) this.#interrupts.set(requester, others)
      else this.#interrupts.delete(requester)
      if (all.at(-1) === table) this.#tell(unit, requester, others.at(-1))
    }
  }

  #write(unit: IvhdUnit, requester: Bdf, dte: Dte): void {
    this.#table.write(requester, dte, (id) => unit.invalidate([{ kind: 'device', requester: id }]))
  }
  #tell(unit: IvhdUnit, requester: Bdf, table: InterruptTable | undefined): void {
    this.#table.setInterrupts(requester, table)
    unit.invalidate([
      { kind: 'device', requester },
      { kind: 'interrupts', requester },
    ])
  }
}
