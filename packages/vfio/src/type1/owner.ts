/** Whose memory a mapping is, and whose limit it is charged against. drivers/vfio/vfio_iommu_type1.c vfio_dma_do_map, vfio_change_dma_owner. */
import { type AddressSpace, type Caller, PageRunList, type Process } from '@ioasis/core'

/** Kept as Linux keeps the task, the mm and one capability: what the process becomes later changes the limit alone. */
export class MappingOwner {
  readonly space: AddressSpace
  /** Lent while pages are pinned, or mapped. */
  readonly scratch: PageRunList = new PageRunList()
  readonly #process: Process
  readonly #unlimited: boolean

  constructor({ process }: Caller) {
    this.space = process.addressSpace
    this.#process = process
    this.#unlimited = process.can('CAP_IPC_LOCK')
  }
  /** Whether another mapping of this caller has the same owner. */
  is({ process }: Caller): boolean {
    const { addressSpace } = process
    return this.space === addressSpace && this.#process === process && this.#unlimited === process.can('CAP_IPC_LOCK')
  }
  /** Pages that may be locked in all. */
  get limit(): number {
    return this.#unlimited ? Infinity : this.limitOf(this.#process)
  }
  /** The same, for a call of another process. */
  limitOf({ limits }: Process): number {
    return this.#unlimited ? Infinity : Math.floor(limits.memlock / this.space.pageBytes)
  }
}
