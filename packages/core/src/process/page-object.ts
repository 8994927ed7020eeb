/** What stands behind a mapping: an object with numbered pages. A page is named (object, index), never by where it is mapped. */
import type { Hpa } from '../address.ts'

/** `PageObject.peek` for a page that was never touched: it reads as zeros. No object shows the page at 0. */
export const ZERO_PAGE: Hpa = 0
/** There is no such page: an access raises SIGBUS, a system call sees EFAULT. */
export const NO_PAGE: Hpa = -1

/** Pages that processes map and devices reach: anonymous memory, a memfd, a device's own memory, memory of another machine. */
export interface PageObject {
  /** For messages and listings: `anonymous`, `memfd:vm`. */
  readonly name: string
  /** Pages that lie together in host memory: 1, or the number in a huge page. */
  readonly blockPages: number
  /** Its pages may be pinned; false for registers and the like, where pinning is EFAULT. */
  readonly pinnable: boolean
  /** The host page that a reader sees now, `ZERO_PAGE` or `NO_PAGE`. Makes nothing. */
  peek(index: number): Hpa
  /**
   * The host page that a writer or a pin gets: made if need be, and nobody else's where the object is private.
   * @returns an hpa or `NO_PAGE`
   * @throws UapiError ENOMEM
   */
  fault(index: number): Hpa
  /** Somebody else (a mapping, an open file) uses the object. */
  hold(): void
  /** Somebody is done with it; after the last one its pages go, pinned ones when they are unpinned. */
  release(): void
  /** A range is not wanted any more (munmap, MADV_DONTNEED). Absent: the object keeps its pages, as files do. */
  discard?(first: number, count: number): void
  /** A copy for a child process, sharing pages until one side writes. Absent: the child shares the object. */
  fork?(): PageObject
}

/** Memory at a fixed place: a device's own RAM, a reserved region, RAM behind a backing. */
export class RegionPages implements PageObject {
  readonly name: string
  readonly blockPages = 1
  readonly pinnable: boolean
  readonly #first: Hpa
  readonly #pages: number
  readonly #pageBytes: number

  /**
   * @param region `first` and `bytes` are multiples of `pageBytes`; `pinnable`: ordinary memory, not device memory
   */
  constructor(region: {
    readonly name: string
    readonly first: Hpa
    readonly bytes: number
    readonly pageBytes: number
    readonly pinnable: boolean
  }) {
    this.name = region.name
    this.pinnable = region.pinnable
    this.#first = region.first
    this.#pages = region.bytes / region.pageBytes
    this.#pageBytes = region.pageBytes
  }
  peek(index: number): Hpa {
    return index < this.#pages ? this.#first + index * this.#pageBytes : NO_PAGE
  }
  fault(index: number): Hpa {
    return this.peek(index)
  }
  hold(): void {}
  release(): void {}
}
