/**
 * What an IOAS may not map (reserved, each range with who asked for it) and what automatic placement keeps to (allowed).
 * drivers/iommu/iommufd/io_pagetable.c iopt_reserve_iova, iopt_set_allow_iova.
 */
import { IntervalMap, type Iova, type IovaRange } from '@ioasis/core'
import { U64_MAX } from './uapi.ts'

interface Reserved extends IovaRange {
  readonly owner: object
}

/** Reserved ranges; those of several owners may overlap. */
export class ReservedRanges {
  readonly #ranges: Reserved[] = []
  /** Their union, neighbours joined. */
  readonly union: IntervalMap<true> = new IntervalMap()
  /** The same as a list: there are few, and each mapping asks. */
  #joined: readonly IovaRange[] = []

  /** Reserves a range for a device or a domain. */
  add(first: Iova, last: Iova, owner: object): void {
    this.#ranges.push({ first, last, owner })
    this.#unite()
  }
  /** Gives up all ranges of an owner. */
  remove(owner: object): void {
    const kept = this.#ranges.filter((range) => range.owner !== owner)
    if (kept.length === this.#ranges.length) return
    this.#ranges.splice(0, this.#ranges.length, ...kept)
    this.#unite()
  }
  /** Ranges of all owners: an audit counter. */
  get size(): number {
    return this.#ranges.length
  }
  /** What is free of them, in order. */
  usable(): readonly IovaRange[] {
    return [...this.union.gaps()]
  }
  /** Whether a range touches one. */
  touches(first: Iova, last: Iova): boolean {
    for (const range of this.#joined) if (first <= range.last && range.first <= last) return true
    return false
  }

  #unite(): void {
    this.union.clear()
    this.#joined = joined(this.#ranges)
    for (const { first, last } of this.#joined) this.union.insert(first, last, true)
  }
}

/** Ranges by address, those that overlap or touch made one. */
export function joined(ranges: readonly IovaRange[]): readonly IovaRange[] {
  const sorted = ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const whole: { first: Iova; last: Iova }[] = []
  for (const { first, last } of sorted) {
    const before = whole.at(-1)
    if (before && (before.last === U64_MAX || first <= before.last + 1n)) {
      if (last > before.last) before.last = last
    } else whole.push({ first, last })
  }
  return whole
}
