/**
 * Which pages were written since the user asked last. What emulated devices hold or copied to is known page by page; a group
 * with an IOMMU says nothing, so while one is here all that is pinned and mapped counts as written.
 * drivers/vfio/vfio_iommu_type1.c vfio_dma_bitmap_alloc_all, update_user_bitmap, vfio_iova_dirty_bitmap.
 */
import { type Caller, UapiError, type Uva } from '@ioasis/core'
import { DirtyBits } from './dirty-bits.ts'
import { writeBitmap } from './dirty-pages.ts'
import type { Domains } from './domains.ts'
import type { Mapping } from './mapping.ts'
import type { Mappings } from './mappings.ts'

/** Bits of one mapping at most, INT_MAX. */
const MOST_PAGES = 0x7fff_ffffn

/** A bitmap of the user's: where it lies, and the iova that its first bit stands for. */
export interface UserBitmap {
  readonly caller: Caller
  readonly data: Uva
  readonly base: bigint
}

/** The tracking of one container. */
export class DirtyTracking {
  readonly #mappings: Mappings
  readonly #domains: Domains
  #on = false
  /** Groups with an IOMMU. None of them pins what it uses, page by page. */
  #groups = 0

  constructor(mappings: Mappings, domains: Domains) {
    this.#mappings = mappings
    this.#domains = domains
  }
  /** VFIO_IOMMU_DIRTY_PAGES_FLAG_START was given. */
  get on(): boolean {
    return this.#on
  }
  groupCame(): void {
    this.#groups++
  }
  /** What it may have written is known no other way. */
  groupWent(): void {
    this.#groups--
    if (this.#on) for (const { dirty } of this.#mappings.all) dirty?.setAll()
  }

  /** @throws UapiError EINVAL for a mapping with too many pages; it is off then */
  start(): void {
    if (this.#on) return
    const { all } = this.#mappings
    const bits = all.map((mapping) => this.#bitsOf(mapping))
    all.forEach((mapping, i) => {
      mapping.dirty = bits[i]
      populate(mapping)
    })
    this.#on = true
  }
  stop(): void {
    this.#on = false
    for (const mapping of this.#mappings.all) mapping.dirty = undefined
  }
  /** A mapping is made. @throws UapiError EINVAL for too many pages */
  begins(mapping: Mapping): void {
    if (this.#on) mapping.dirty = this.#bitsOf(mapping)
  }
  /** Bytes of a mapping were written. */
  wrote({ dirty }: Mapping, offset: bigint, bytes: bigint): void {
    const page = this.#domains.pageBytes
    const first = Number(offset / page)
    dirty?.set(first, Number((offset + bytes - 1n) / page) - first + 1)
  }
  /** Tells the user of one mapping, before it goes. @throws UapiError EFAULT */
  report(mapping: Mapping, { caller, data, base }: UserBitmap): void {
    const { dirty } = mapping
    if (!dirty) throw new Error('type1: a mapping is not tracked')
    if (this.#groups > 0 && mapping.pinned) dirty.setAll()
    writeBitmap(caller, data, (mapping.iova - base) / this.#domains.pageBytes, dirty)
  }
  /** The same for one that stays: pages that are still held count as written again. */
  reportAndClear(mapping: Mapping, bitmap: UserBitmap): void {
    this.report(mapping, bitmap)
    mapping.dirty?.clear()
    populate(mapping)
  }

  #bitsOf({ size }: Mapping): DirtyBits {
    const pages = size / this.#domains.pageBytes
    if (pages > MOST_PAGES) throw new UapiError('EINVAL', 'vfio_dma_bitmap_alloc', { pages })
    return new DirtyBits(Number(pages))
  }
}

function populate({ dirty, pagePins }: Mapping): void {
  for (const page of pagePins.pages) dirty?.set(page)
}
