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
/** A table, and the ids that the messages of each function which uses it may carry. */
interface SharedTable {
  readonly table: InterruptTable
  readonly users: Map<object, readonly Bdf[]>
}

/** The entries of one segment, with those who use them. */
export class RequesterEntries {
  readonly #table: DeviceTable
  readonly #uses = new Map<Bdf, readonly Use[]>()
  readonly #interrupts = new Map<Bdf, SharedTable>()

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

  /**
   * The table that messages of a function go through: the one that stands in an entry it shares with others, else a new one.
   * @throws as `make`, with nothing changed
   */
  connect(unit: IvhdUnit, device: object, requesters: readonly Bdf[], make: () => InterruptTable): InterruptTable {
    const known = requesters.map((requester) => this.#interrupts.get(requester)).find((one) => one !== undefined)
    const shared = known ?? { table: make(), users: new Map() }
    shared.users.set(device, requesters)
    for (const requester of requesters) {
      if (this.#interrupts.get(requester) === shared) continue
      this.#interrupts.set(requester, shared)
      this.#tell(unit, requester, shared.table)
    }
    return shared.table
  }
  /** A function goes: entries that were its alone refuse messages now, and the table goes with the last one that uses it. */
  disconnect(unit: IvhdUnit, device: object, requesters: readonly Bdf[]): void {
    for (const requester of requesters) {
      const shared = this.#interrupts.get(requester)
      if (!shared) continue
      shared.users.delete(device)
      if ([...shared.users.values()].some((others) => others.includes(requester))) continue
      this.#interrupts.delete(requester)
      this.#tell(unit, requester, undefined)
      if (shared.users.size === 0 && ![...this.#interrupts.values()].includes(shared)) shared.table.free()
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
