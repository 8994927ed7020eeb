/**
 * A domain as a map of pages: the reference that page tables are compared with. It has no levels, no superpages, no caches,
 * no flushes: too simple to be wrong, and slow.
 */
import { hpaHi, type Hpa, type Iova, type PageRuns, type Prot } from '@ioasis/core'

/** Where one page leads. */
export interface FlatPage {
  readonly hpa: Hpa
  readonly prot: Prot
}

/** One domain. */
export class FlatDomain {
  readonly pageBytes: number
  readonly #pages = new Map<bigint, FlatPage>()

  /** @param pageBytes a power of two that divides every range mapped or unmapped */
  constructor(pageBytes = 4096) {
    this.pageBytes = pageBytes
  }

  /** Pages mapped. */
  get pages(): number {
    return this.#pages.size
  }

  /** Maps the runs from `iova` on. @throws Error when a page is mapped already or a target lies beyond 52 bits */
  map(iova: Iova, runs: PageRuns, prot: Prot): void {
    let at = iova
    for (let i = 0; i < runs.count; i++) {
      const hpa = runs.hpa[i] as number
      for (let done = 0; done < (runs.bytes[i] as number); done += this.pageBytes) {
        const page = this.#number(at)
        if (this.#pages.has(page)) throw new Error(`flat domain: ${at.toString(16)} is mapped already`)
        if (hpaHi(hpa) >>> 20) throw new Error(`flat domain: ${hpa} is no host-physical address`)
        this.#pages.set(page, { hpa: hpa + done, prot })
        at += BigInt(this.pageBytes)
      }
    }
  }

  /** Unmaps whole pages. @returns the bytes that were mapped */
  unmap(iova: Iova, bytes: bigint): bigint {
    let found = 0n
    for (let at = iova; at < iova + bytes; at += BigInt(this.pageBytes)) {
      if (this.#pages.delete(this.#number(at))) found += BigInt(this.pageBytes)
    }
    return found
  }

  /** Whether any page of the range is mapped. */
  overlaps(iova: Iova, bytes: bigint): boolean {
    for (let at = iova; at < iova + bytes; at += BigInt(this.pageBytes))
      if (this.#pages.has(this.#number(at))) return true
    return false
  }

  /** First hpa of each page mapped, in no order; one mapped twice comes twice. */
  targets(): readonly Hpa[] {
    return [...this.#pages.values()].map((page) => page.hpa)
  }
  /** The page an address lies in; undefined: not mapped. */
  at(iova: Iova): FlatPage | undefined {
    return this.#pages.get(this.#number(iova))
  }

  /** Where an address leads; undefined: nowhere. */
  lookup(iova: Iova): Hpa | undefined {
    const page = this.at(iova)
    return page && page.hpa + Number(iova % BigInt(this.pageBytes))
  }

  #number(iova: Iova): bigint {
    return iova / BigInt(this.pageBytes)
  }
}
