/** The mappings of a container by iova. They never overlap. */
import type { Mapping } from './mapping.ts'

/** Sorted mappings; an insertion moves those above. */
export class Mappings {
  readonly #list: Mapping[] = []

  get count(): number {
    return this.#list.length
  }
  /** In order. */
  get all(): readonly Mapping[] {
    return this.#list
  }
  /** Those that touch [first, last], in order. */
  within(first: bigint, last: bigint): readonly Mapping[] {
    const from = this.#search(first)
    let to = from
    while (to < this.#list.length && (this.#list[to] as Mapping).iova <= last) to++
    return this.#list.slice(from, to)
  }
  /** The first one that touches [first, last]. */
  find(first: bigint, last: bigint): Mapping | undefined {
    const found = this.#list[this.#search(first)]
    return found && found.iova <= last ? found : undefined
  }
  add(mapping: Mapping): void {
    this.#list.splice(this.#search(mapping.iova), 0, mapping)
  }
  remove(mapping: Mapping): void {
    this.#list.splice(this.#search(mapping.iova), 1)
  }

  /** Index of the first one that ends at or above `iova`. */
  #search(iova: bigint): number {
    let lo = 0
    let hi = this.#list.length
    while (lo < hi) {
      const mid = (lo + hi) >>> 1
      if ((this.#list[mid] as Mapping).last >= iova) hi = mid
      else lo = mid + 1
    }
    return lo
  }
}
