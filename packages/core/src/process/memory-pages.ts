/** The two kinds of memory that processes get from the kernel: shared (memfd, MAP_SHARED) and private (copied on write). */
import type { Hpa } from '../address.ts'
import type { Frames } from './frames.ts'
import { PageIndex } from './page-index.ts'
import { NO_PAGE, type PageObject, ZERO_PAGE } from './page-object.ts'

/** Pages into its block. Most blocks are one page, and `%` on doubles takes as long as a small copy. */
const withinBlock = (index: number, blockPages: number): number => (blockPages === 1 ? 0 : index % blockPages)

/** How memory is made. */
export interface MemoryOptions {
  /** Default `memfd`. */
  readonly name?: string
  /** Bytes: what ftruncate(2) set. */
  readonly bytes: number
  /** Bytes of a huge page (MFD_HUGETLB); default one page. */
  readonly huge?: number
}

/** Memory that all who map it see: a memfd, or shared anonymous memory. Made with one holder, the open file. */
export class SharedPages implements PageObject {
  readonly name: string
  readonly blockPages: number
  readonly pinnable = true
  readonly #frames: Frames
  readonly #blocks = new PageIndex()
  #bytes: number
  #holders = 1

  constructor(frames: Frames, options: MemoryOptions) {
    this.name = options.name ?? 'memfd'
    this.blockPages = (options.huge ?? frames.pageBytes) / frames.pageBytes
    this.#frames = frames
    this.#bytes = options.bytes
  }

  /** Size of the file. */
  get bytes(): number {
    return this.#bytes
  }
  /** ftruncate(2): pages beyond the new end go, pinned ones when they are unpinned. */
  truncate(bytes: number): void {
    this.#bytes = bytes
    const blockBytes = this.blockPages * this.#frames.pageBytes
    this.#drop(Math.ceil(bytes / blockBytes), Infinity)
  }
  /** fallocate(2) with FALLOC_FL_PUNCH_HOLE: whole blocks in the range read as zeros again. */
  punch(first: number, count: number): void {
    const from = Math.ceil(first / this.blockPages)
    this.#drop(from, Math.floor((first + count) / this.blockPages) - from)
  }
  peek(index: number): Hpa {
    if (index * this.#frames.pageBytes >= this.#bytes) return NO_PAGE
    const within = withinBlock(index, this.blockPages)
    const block = this.#blocks.get((index - within) / this.blockPages)
    return block === 0 ? ZERO_PAGE : block + within * this.#frames.pageBytes
  }
  fault(index: number): Hpa {
    if (index * this.#frames.pageBytes >= this.#bytes) return NO_PAGE
    const within = withinBlock(index, this.blockPages)
    const at = (index - within) / this.blockPages
    let block = this.#blocks.get(at)
    if (block === 0) {
      block = this.#frames.alloc(this.blockPages, this.name)
      this.#blocks.set(at, block)
    }
    return block + within * this.#frames.pageBytes
  }
  hold(): void {
    this.#holders++
  }
  release(): void {
    if (--this.#holders === 0) this.#drop(0, Infinity)
  }
  #drop(first: number, count: number): void {
    this.#blocks.each(
      (at, hpa) => {
        this.#blocks.set(at, 0)
        this.#frames.drop(hpa)
      },
      first,
      count,
    )
  }
}

/** What a private mapping of a file starts from. */
export interface PrivateBase {
  readonly object: PageObject
  /** The base's page that is page 0 of the private object. A multiple of its `blockPages`. */
  readonly firstPage: number
}

/** Memory of one process: anonymous, or a private copy of a file. Made without a holder: mappings hold it. */
export class PrivatePages implements PageObject {
  readonly name: string
  readonly blockPages: number
  readonly pinnable = true
  readonly #frames: Frames
  readonly #base: PrivateBase | undefined
  readonly #blocks = new PageIndex()
  #holders = 0

  /** @param blockPages of anonymous memory; a base brings its own */
  constructor(frames: Frames, blockPages: number, base?: PrivateBase) {
    this.name = base ? `private ${base.object.name}` : 'anonymous'
    this.blockPages = base?.object.blockPages ?? blockPages
    this.#frames = frames
    this.#base = base
    base?.object.hold()
  }

  peek(index: number): Hpa {
    const within = withinBlock(index, this.blockPages)
    const block = this.#blocks.get((index - within) / this.blockPages)
    if (block !== 0) return block + within * this.#frames.pageBytes
    return this.#base ? this.#base.object.peek(this.#base.firstPage + index) : ZERO_PAGE
  }
  fault(index: number): Hpa {
    const within = withinBlock(index, this.blockPages)
    const at = (index - within) / this.blockPages
    const block = this.#own(at)
    return block === NO_PAGE ? NO_PAGE : block + within * this.#frames.pageBytes
  }
  hold(): void {
    this.#holders++
  }
  release(): void {
    if (--this.#holders > 0) return
    this.discard(0, Infinity)
    this.#base?.object.release()
  }
  discard(first: number, count: number): void {
    const from = Math.ceil(first / this.blockPages)
    const visit = (at: number, hpa: Hpa): void => {
      this.#blocks.set(at, 0)
      this.#frames.drop(hpa)
    }
    this.#blocks.each(visit, from, Math.floor((first + count) / this.blockPages) - from)
  }
  /**
   * Pinned pages stay with this process, which may have handed them to a device: the child gets its copy at once
   * (mm/memory.c copy_present_page). All others are shared until one side writes.
   * @throws UapiError ENOMEM; nothing has changed then
   */
  fork(): PrivatePages {
    const child = new PrivatePages(this.#frames, this.blockPages, this.#base)
    child.hold()
    try {
      this.#blocks.each((at, hpa) => {
        const page = this.#frames.pinsOf(hpa) > 0 ? this.#copy(hpa) : hpa
        if (page === hpa) this.#frames.hold(hpa)
        child.#blocks.set(at, page)
      })
    } catch (error) {
      child.release()
      throw error
    }
    child.#holders = 0
    return child
  }

  /** The block at `at`, shown by nobody else. */
  #own(at: number): Hpa {
    const present = this.#blocks.get(at)
    if (present !== 0 && !this.#frames.isShared(present)) return present
    const from = present === 0 ? this.#fromBase(at) : present
    if (from === NO_PAGE) return NO_PAGE
    const block = from === ZERO_PAGE ? this.#frames.alloc(this.blockPages, this.name) : this.#copy(from)
    if (block === NO_PAGE) return NO_PAGE
    if (present !== 0) this.#frames.drop(present)
    this.#blocks.set(at, block)
    return block
  }
  #fromBase(at: number): Hpa {
    return this.#base ? this.#base.object.peek(this.#base.firstPage + at * this.blockPages) : ZERO_PAGE
  }
  #copy(from: Hpa): Hpa {
    const block = this.#frames.alloc(this.blockPages, this.name)
    if (this.#frames.copy(from, block, this.blockPages)) return block
    this.#frames.drop(block)
    return NO_PAGE
  }
}
