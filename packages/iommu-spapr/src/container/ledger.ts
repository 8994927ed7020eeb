/**
 * Locked memory that containers charged, and what Linux forgets to give back: a table that could not be made stays charged.
 * mm/util.c account_locked_vm; drivers/vfio/vfio_iommu_spapr_tce.c tce_iommu_create_table.
 */
import type { AddressSpace, Caller } from '@ioasis/core'

/** What one host's containers charged. */
export class Ledger {
  readonly #pageBytes: number
  readonly #charged = new Map<AddressSpace, number>()
  readonly #lost = new Map<AddressSpace, number>()

  /** @param pageBytes of the kernel */
  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes
  }
  /** Address spaces that something was ever charged to. */
  get spaces(): readonly AddressSpace[] {
    return [...this.#charged.keys()]
  }
  /** Pages charged and not given back, those that are lost included. */
  charged(space: AddressSpace): number {
    return this.#charged.get(space) ?? 0
  }
  /** Pages that nobody will give back. */
  lost(space: AddressSpace): number {
    return this.#lost.get(space) ?? 0
  }
  /** Whole pages of so many bytes: what is left over is not charged. */
  pagesOf(bytes: bigint): number {
    return Number(bytes / BigInt(this.#pageBytes))
  }
  /** @throws UapiError ENOMEM beyond the caller's limit; nothing is charged then */
  charge({ process }: Caller, space: AddressSpace, pages: number): void {
    if (pages > 0) space.locked.charge(pages, process.lockLimit, 'account_locked_vm')
    this.#charged.set(space, this.charged(space) + pages)
  }
  uncharge(space: AddressSpace, pages: number): void {
    space.locked.uncharge(pages)
    this.#charged.set(space, this.charged(space) - pages)
  }
  /** Pages that were charged are forgotten. */
  lose(space: AddressSpace, pages: number): void {
    this.#lost.set(space, this.lost(space) + pages)
  }
}
