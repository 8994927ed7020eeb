/**
 * Bits for pages that devices wrote, in user memory: at any byte, the lowest bit of the first one for the first iova.
 * drivers/iommu/iommufd/iova_bitmap.c, which VFIO uses too.
 */
import type { Iova, Uva } from '../address.ts'
import type { AddressSpace } from './address-space.ts'

/** Where a bitmap lies, and what its bits stand for. */
export interface UserBitmapPlace {
  readonly uva: Uva
  /** The iova of the first bit. */
  readonly first: Iova
  /** Bytes that a bit stands for. */
  readonly pageBytes: bigint
}

/** A bitmap of a program. Bits that cannot be written are lost: that is no error. */
export class UserBitmap {
  readonly #memory: AddressSpace
  readonly #uva: Uva
  readonly #first: Iova
  /** log2 of the bytes that a bit stands for: the lowest bit set, also where the size is no power of two. */
  readonly #shift: bigint

  constructor(memory: AddressSpace, { uva, first, pageBytes }: UserBitmapPlace) {
    this.#memory = memory
    this.#uva = uva
    this.#first = first
    this.#shift = BigInt((pageBytes & -pageBytes).toString(2).length - 1)
  }

  /** Sets the bits of a range, page by page of user memory; the first page that cannot be written ends it. */
  set(iova: Iova, bytes: bigint): void {
    const page = BigInt(this.#memory.pageBytes)
    const lastBit = (iova + bytes - 1n - this.#first) >> this.#shift
    for (let bit = (iova - this.#first) >> this.#shift; bit <= lastBit;) {
      const at = this.#uva + (bit >> 3n)
      const pageEnd = (at / page + 1n) * page
      const endBit = (pageEnd - this.#uva) * 8n
      const to = endBit <= lastBit ? endBit - 1n : lastBit
      const piece = new Uint8Array(Number((to >> 3n) - (bit >> 3n)) + 1)
      if (this.#memory.copyIn(at, piece) < piece.length) return
      setBits(piece, Number(bit & 7n), Number(to - bit) + 1)
      if (this.#memory.copyOut(at, piece) < piece.length) return
      bit = to + 1n
    }
  }
}

function setBits(bytes: Uint8Array, from: number, count: number): void {
  for (let bit = from, left = count; left > 0;) {
    const index = bit >>> 3
    const whole = (bit & 7) === 0 && left >= 8
    bytes[index] = whole ? 0xff : (bytes[index] as number) | (1 << (bit & 7))
    bit += whole ? 8 : 1
    left -= whole ? 8 : 1
  }
}
