/**
 * A TCE table as who fills it from registered memory sees it: a SPAPR container, and a hypervisor that puts what its guest
 * wrote. Both keep the count of the region that an entry leads into, and the user address it was made for.
 *
 * Facts: arch/powerpc/kvm/book3s_64_vio.c kvmppc_tce_iommu_do_map and its neighbours; drivers/vfio/vfio_iommu_spapr_tce.c
 * tce_iommu_unuse_page_v2.
 */
import { UapiError } from '../errno.ts'
import { type DmaWindow, TCE_ACCESS, type TceAccess } from './driver.ts'
import type { RegisteredMemory } from './registered-memory.ts'

/** Entries of one window that lead into the registered memory of one address space. Whoever changes entries calls `kill`. */
export class TceSink {
  readonly window: DmaWindow
  readonly memory: RegisteredMemory
  readonly #bytes: number

  constructor(window: DmaWindow, memory: RegisteredMemory) {
    this.window = window
    this.memory = memory
    this.#bytes = 2 ** window.pageShift
  }

  /** Whether a page may be put: all of it is registered, for TCE pages of this size. */
  accepts(uva: number): boolean {
    const region = this.memory.lookup(uva, this.#bytes)
    return region !== undefined && this.memory.target(region, uva, this.window.pageShift) !== undefined
  }
  /** Puts an entry and lets go of what stood there. @returns false when the page is not registered: nothing changed then */
  map(index: number, uva: number, access: TceAccess): boolean {
    const region = this.memory.lookup(uva, this.#bytes)
    const hpa = region && this.memory.target(region, uva, this.window.pageShift)
    if (region === undefined || hpa === undefined || !this.memory.addMapping(region)) return false
    if (!this.#exchanged(index, hpa, access)) {
      this.memory.removeMapping(region)
      return false
    }
    if (this.#old !== TCE_ACCESS.NONE) this.#release(index)
    this.window.setUserAddress(index, uva)
    return true
  }
  /** Clears an entry. @returns false when nobody registered what stood there: it stands there still */
  unmap(index: number): boolean {
    if (!this.#exchanged(index, 0, TCE_ACCESS.NONE)) return false
    if (this.#old === TCE_ACCESS.NONE) return true
    const { oldHpa } = this.window
    if (this.#release(index)) return true
    this.window.exchange(index, oldHpa, this.#old)
    return false
  }
  /** Clears an entry whatever it was made for. */
  drop(index: number): void {
    this.#exchanged(index, 0, TCE_ACCESS.NONE)
  }
  /** Forgets what an entry was made for, after it was replaced or cleared. */
  letGo(index: number): void {
    const uva = this.window.userAddress(index)
    const region = this.memory.lookup(uva, this.#bytes)
    if (region && this.memory.target(region, uva, this.window.pageShift) !== undefined)
      this.memory.removeMapping(region)
    if (uva !== 0) this.window.setUserAddress(index, 0)
  }
  /** Hardware forgets what it caches of these entries. */
  kill(index: number, count: number): void {
    this.window.kill(index, count)
  }

  #old: TceAccess = TCE_ACCESS.NONE
  #exchanged(index: number, hpa: number, access: TceAccess): boolean {
    try {
      this.#old = this.window.exchange(index, hpa, access)
      return true
    } catch (error) {
      if (error instanceof UapiError) return false
      throw error
    }
  }
  #release(index: number): boolean {
    const region = this.memory.lookup(this.window.userAddress(index), this.#bytes)
    if (!region) return false
    this.memory.removeMapping(region)
    this.window.setUserAddress(index, 0)
    return true
  }
}
