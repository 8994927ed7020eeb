/**
 * Where the areas of one IOAS are, and where further ones can be: reserved and allowed ranges, alignment.
 * drivers/iommu/iommufd/io_pagetable.c iopt_check_iova, iopt_reserve_iova, iopt_set_allow_iova.
 */
import {
  type Errno,
  type FailurePoints,
  hiWord,
  IntervalMap,
  type Iova,
  type IovaRange,
  loWord,
  split,
  UapiError,
} from '@ioasis/core'
import type { Area, Slice } from './area.ts'
import { placeArea } from './placement.ts'
import { ReservedRanges } from './reserved-ranges.ts'
import { U64_MAX } from './uapi.ts'

/** The iovas of one IOAS. */
export class IovaSpace {
  readonly areas: IntervalMap<Area> = new IntervalMap()
  readonly reserved: ReservedRanges = new ReservedRanges()
  /** Bytes of a page of the CPU. */
  readonly pageBytes: number
  /** Bytes each area is aligned to: 1 until a domain or an access asks for more. */
  alignment = 1
  #allowed: IntervalMap<true> = new IntervalMap()
  readonly #failures: FailurePoints | undefined
  /** From the second page up to here everything is mapped or reserved: automatic placement need not look. */
  #full: Iova

  /** @param failures where reserving a range may fail */
  constructor(pageBytes: number, failures?: FailurePoints) {
    this.pageBytes = pageBytes
    this.#failures = failures
    this.#full = BigInt(pageBytes)
  }

  /** Iovas that can be mapped now. */
  usable(): readonly IovaRange[] {
    return this.reserved.usable()
  }
  /** Replaces the ranges automatic placement keeps to. @throws UapiError EADDRINUSE when one touches a reserved range */
  allow(ranges: IntervalMap<true>): void {
    for (const { first, last } of ranges.within()) {
      if (this.reserved.touches(first, last)) refuse('EADDRINUSE', { first, last })
    }
    this.#allowed = ranges
  }
  /** Reserves a range for `owner`. @throws UapiError EADDRINUSE when an area or an allowed range touches it; ENOMEM */
  reserve(first: Iova, last: Iova, owner: object): void {
    if (this.#allowed.firstIn(first, last) ?? this.areas.firstIn(first, last)) refuse('EADDRINUSE', { first, last })
    this.#failures?.pass('iommufd reserved range')
    this.reserved.add(first, last, owner)
  }
  /** Gives up what is reserved for `owner`. */
  unreserve(owner: object): void {
    this.reserved.remove(owner)
    this.#full = BigInt(this.pageBytes)
  }

  /** The lowest place for an area that begins with `slice`. @throws UapiError EOVERFLOW, EINVAL, ENOSPC */
  place({ pages, page, offset }: Slice, bytes: bigint): Iova {
    const at = placeArea({
      bytes,
      source: pages.origin + BigInt(page) * BigInt(this.pageBytes) + BigInt(offset),
      alignment: this.alignment,
      pageBytes: this.pageBytes,
      full: this.#full,
      allowed: this.#allowed,
      reserved: this.reserved.union,
      areas: this.areas,
    })
    if (at === this.#full) this.#full = at + bytes
    return at
  }
  /** Whether an address or a length is a multiple of the alignment. */
  isAligned(value: bigint): boolean {
    split(value)
    return (loWord() & (this.alignment - 1)) === 0
  }
  /** Whether an area may be at a place the caller chose. @throws UapiError EINVAL, EOVERFLOW, EEXIST */
  check(iova: Iova, bytes: bigint): void {
    if (!this.isAligned(iova)) refuse('EINVAL', { iova })
    const last = iova + bytes - 1n
    if (last > U64_MAX) refuse('EOVERFLOW', { iova, bytes })
    if (this.reserved.touches(iova, last)) refuse('EINVAL', { iova, bytes })
    if (overlaps(this.areas, iova, last)) refuse('EEXIST', { iova, bytes })
  }
  /** An area that began at `first` is gone: there is room below. */
  emptied(first: Iova): void {
    if (first >= this.#full) return
    const page = BigInt(this.pageBytes)
    this.#full = first > page ? first : page
  }
  /** Whether all areas conform to an alignment. @throws UapiError EADDRINUSE */
  requireAlignment(alignment: number): void {
    const mask = BigInt(alignment - 1)
    for (const { first, last, value } of this.areas.within()) {
      const aligned = ((first | (last + 1n)) & mask) === 0n && (value.offset & (alignment - 1)) === 0
      if (!aligned) refuse('EADDRINUSE', { iova: first, alignment })
    }
  }
}

/** @throws UapiError always */
export function refuse(errno: Errno, context: Readonly<Record<string, number | bigint>>): never {
  throw new UapiError(errno, 'iommufd IOAS', context)
}

/** Whether an interval touches [first, last]: asked for each mapping, so nothing is made. */
function overlaps(map: IntervalMap<unknown>, first: Iova, last: Iova): boolean {
  split(first)
  if (!map.seekWords(hiWord(), loWord())) return false
  const hi = map.firstHi >>> 0
  const lo = map.firstLo >>> 0
  split(last)
  const lastHi = hiWord() >>> 0
  return hi < lastHi || (hi === lastHi && lo <= loWord() >>> 0)
}
