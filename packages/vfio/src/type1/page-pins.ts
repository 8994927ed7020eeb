/**
 * Pages of one mapping that emulated devices hold (`struct vfio_pfn`), each once however often it was asked for.
 * drivers/vfio/vfio_iommu_type1.c vfio_pin_page_external, vfio_unpin_page_external.
 */
import { type AddressSpace, PageRunList, UapiError } from '@ioasis/core'

interface Pin {
  readonly hpa: number
  uses: number
}

/** By number of the page in its mapping. */
export class PagePins {
  readonly #pins = new Map<number, Pin>()

  get count(): number {
    return this.#pins.size
  }
  /** Numbers of pages. */
  get pages(): readonly number[] {
    return [...this.#pins.keys()]
  }
  /** Host addresses, for the audit. */
  get kept(): readonly number[] {
    return Array.from(this.#pins.values(), ({ hpa }) => hpa)
  }
  has(page: number): boolean {
    return this.#pins.has(page)
  }
  /** Holds a page once more. @returns its hpa; undefined: it is not held yet */
  again(page: number): number | undefined {
    const pin = this.#pins.get(page)
    if (pin) pin.uses++
    return pin?.hpa
  }
  /** @throws UapiError ENODEV when the process has ended, EINVAL for registers, EFAULT, ENOMEM */
  pin(page: number, space: AddressSpace, uva: bigint, write: boolean): number {
    if (!space.alive) throw new UapiError('ENODEV', 'vfio_pin_page_external', { uva })
    if (space.at(uva)?.target.kind === 'window') throw new UapiError('EINVAL', 'vfio_pin_pages', { uva })
    const runs = new PageRunList(1)
    space.pin(uva, 1, { write }, runs)
    const hpa = runs.hpa[0] as number
    this.#pins.set(page, { hpa, uses: 1 })
    return hpa
  }
  /** @returns whether nobody holds it any more; false also for a page that nobody held */
  unpin(page: number, space: AddressSpace): boolean {
    const pin = this.#pins.get(page)
    if (!pin || --pin.uses > 0) return false
    this.#pins.delete(page)
    space.frames.unpin(pin.hpa, space.pageBytes)
    return true
  }
}
