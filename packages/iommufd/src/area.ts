/** One mapping of an IOAS: an interval of iovas onto a slice of pages. struct iopt_area of drivers/iommu/iommufd/io_pagetable.h. */
import type { Prot } from '@ioasis/core'
import type { Pages } from './pages.ts'
import { MAP_FLAG } from './uapi.ts'

/** In `#state`, above the rights: being unmapped; above that: how many accesses. */
const CLOSING = 8
const ACCESS = 16

/** Its interval is where it stands in the IOAS; there may be millions, so it holds little. */
export class Area {
  readonly pages: Pages
  /** Index of the page its first byte lies in. */
  readonly page: number
  /** Bytes into that page. */
  readonly offset: number
  #state: number

  /** @param rights READABLE and WRITEABLE of `MAP_FLAG` */
  constructor(pages: Pages, page: number, offset: number, rights: number) {
    this.pages = pages
    this.page = page
    this.offset = offset
    this.#state = rights
  }

  /** READABLE and WRITEABLE of `MAP_FLAG`. */
  get rights(): number {
    return this.#state & (CLOSING - 1)
  }
  /** It is being unmapped: nobody may pin in it any more. */
  get closing(): boolean {
    return (this.#state & CLOSING) !== 0
  }
  close(): void {
    this.#state |= CLOSING
  }
  /** Ranges in it that emulated devices have pinned. */
  get accesses(): number {
    return Math.floor(this.#state / ACCESS)
  }
  /** @param by 1 or -1 */
  addAccess(by: number): void {
    this.#state += by * ACCESS
  }
  /** Index of the page that the byte `distance` behind its beginning lies in. */
  pageAt(distance: number): number {
    return this.page + Math.floor((this.offset + distance) / this.pages.owner.addressSpace.pageBytes)
  }
  /** The area that begins `distance` bytes behind this one's beginning. */
  from(distance: bigint): Area {
    const size = BigInt(this.pages.owner.addressSpace.pageBytes)
    const start = BigInt(this.offset) + distance
    return new Area(this.pages, this.page + Number(start / size), Number(start % size), this.rights)
  }
}

/** A slice of pages that shall become an area. */
export interface Slice {
  readonly pages: Pages
  readonly page: number
  readonly offset: number
  readonly bytes: bigint
}

const PROTS: readonly Prot[] = [0, 1, 2, 3, 4, 5, 6, 7].map((rights) =>
  Object.freeze({ read: (rights & MAP_FLAG.READABLE) !== 0, write: (rights & MAP_FLAG.WRITEABLE) !== 0 }),
)
const MMIO_PROTS: readonly Prot[] = PROTS.map((prot) => Object.freeze({ ...prot, mmio: true }))

/** What a domain is told of an area's rights. */
export const protOf = ({ rights, pages }: Area): Prot => (pages.kind === 'dma-buf' ? MMIO_PROTS : PROTS)[rights] as Prot
