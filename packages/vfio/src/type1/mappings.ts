/** The mappings of a container by iova. They never overlap. */
import { IntervalMap } from '@ioasis/core'
import type { Mapping } from './mapping.ts'

/** Found, added and removed in logarithmic time. */
export class Mappings {
  readonly #map = new IntervalMap<Mapping>()

  get count(): number {
    return this.#map.size
  }
  /** In order. */
  get all(): readonly Mapping[] {
    return Array.from(this.#map.within(), ({ value }) => value)
  }
  /** Those that touch [first, last], in order. */
  within(first: bigint, last: bigint): readonly Mapping[] {
    return Array.from(this.#map.within(first, last), ({ value }) => value)
  }
  /** The first one that touches [first, last]. */
  find(first: bigint, last: bigint): Mapping | undefined {
    return this.#map.firstIn(first, last)?.value
  }
  /** The one that is exactly [first, last]. */
  exact(first: bigint, last: bigint): Mapping | undefined {
    return this.#map.exact(first, last)
  }
  add(mapping: Mapping): void {
    if (!this.#map.insert(mapping.iova, mapping.last, mapping)) throw new Error('type1: mappings overlap')
  }
  remove(mapping: Mapping): void {
    this.#map.remove(mapping.iova)
  }
}
