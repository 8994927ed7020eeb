/**
 * Counts of who keeps a host page, as `struct page` keeps them: references (an object shows it, a pin holds it) and pins.
 *
 * A page goes back to the allocator with its last reference, so a pinned page outlives every mapping of it. Pages of a huge
 * block share the counts of its first page, as in a Linux folio. Pages that did not come from the allocator (RAM behind a
 * backing, device memory) are counted and never freed.
 */
import { hex, type Hpa } from '../address.ts'
import { FailurePoints } from '../failure-points.ts'
import type { Cpu } from '../memory/cpu.ts'
import { CHUNK_BYTES } from '../memory/host-memory.ts'
import type { PageAllocator } from '../memory/page-allocator.ts'
import { type Token, token } from '../plugin/token.ts'

/** Counts of the pages in one chunk of physical memory. */
interface Counts {
  readonly refs: Int32Array
  readonly pins: Int32Array
  /** Pages back to the first page of its block. */
  readonly back: Int32Array
  /** At the first page of a block: pages in it; 0: not from the allocator. */
  readonly block: Int32Array
}

/** The pages that processes use. */
export class Frames {
  /** Bytes of one page of the CPU. */
  readonly pageBytes: number
  /** `pageBytes - 1`: the bits of an address below its page, taken with `&` where `%` on doubles is too slow. */
  readonly pageMask: number
  /** Copies and zeroes pages. */
  readonly cpu: Cpu
  /** Pins on all pages: an audit counter. */
  pinned = 0
  /** Counts what may change which page an object shows: one was made, shared or given up. */
  changes = 0
  /** What a test makes fail on this host. */
  readonly failures: FailurePoints
  /** Bytes that processes hold: an audit counter. */
  allocated = 0
  readonly #pages: PageAllocator
  readonly #perChunk: number
  readonly #scattered: boolean
  /** The single page that was handed out last. */
  #lastAlone: Hpa = -1
  readonly #chunks = new Map<number, Counts>()
  #lastIndex = -1
  #last: Counts | undefined

  /**
   * @param pageBytes the kernel's page size, 4096 or 65536
   * @param scattered no single page follows in RAM the one handed out before it
   * @param failures where a pin may fail
   */
  constructor(
    pages: PageAllocator,
    cpu: Cpu,
    pageBytes: number,
    scattered = false,
    failures: FailurePoints = new FailurePoints(),
  ) {
    this.#pages = pages
    this.failures = failures
    this.#scattered = scattered
    this.cpu = cpu
    this.pageBytes = pageBytes
    this.pageMask = pageBytes - 1
    this.#perChunk = CHUNK_BYTES / pageBytes
  }

  /** Takes `count` zeroed pages that lie together, with one reference for the block. @throws UapiError ENOMEM */
  alloc(count: number, what: string): Hpa {
    this.changes++
    const hpa =
      this.#scattered && count === 1 ? this.#allocAlone(what) : this.#pages.allocUser(count * this.pageBytes, what)
    this.allocated += count * this.pageBytes
    for (let i = 0; i < count; i++) {
      const page = hpa + i * this.pageBytes
      this.#counts(page).back[this.#slot(page)] = i
    }
    const slot = this.#slot(hpa)
    const counts = this.#counts(hpa)
    counts.block[slot] = count
    counts.refs[slot] = 1
    return hpa
  }
  /** One more reference to the block that `hpa` lies in. */
  hold(hpa: Hpa): void {
    this.changes++
    this.#add(hpa, 1, 0)
  }
  /** One reference less; the last one frees the block. */
  drop(hpa: Hpa): void {
    this.changes++
    this.#add(hpa, -1, 0)
  }
  /** Pins `count` pages from `hpa` on; each pin is a reference too. */
  pin(hpa: Hpa, count = 1): void {
    for (let i = 0; i < count; i++) this.#add(hpa + i * this.pageBytes, 1, 1)
    this.pinned += count
  }
  /** Lets go of a run of pinned pages. @param bytes a multiple of the page size. @throws Error when one is not pinned */
  unpin(hpa: Hpa, bytes: number): void {
    for (let done = 0; done < bytes; done += this.pageBytes) this.#add(hpa + done, -1, -1)
    this.pinned -= bytes / this.pageBytes
  }
  /** Pins on the block that `hpa` lies in. */
  pinsOf(hpa: Hpa): number {
    const head = this.#head(hpa)
    return this.#counts(head).pins[this.#slot(head)] as number
  }
  /** Bytes of the block that `hpa` lies in: a page, or a huge page. A page that did not come from the allocator is one page. */
  blockBytes(hpa: Hpa): number {
    const head = this.#head(hpa)
    return Math.max(1, this.#counts(head).block[this.#slot(head)] as number) * this.pageBytes
  }
  /** Whether several objects show the page: copy before writing. */
  isShared(hpa: Hpa): boolean {
    const head = this.#head(hpa)
    const counts = this.#counts(head)
    const slot = this.#slot(head)
    return (counts.refs[slot] as number) - (counts.pins[slot] as number) > 1
  }
  /** Copies `count` pages. @returns false when memory did not answer: RAM behind a backing failed */
  copy(from: Hpa, to: Hpa, count: number): boolean {
    const buffer = new Uint8Array(this.pageBytes)
    for (let i = 0; i < count; i++) {
      const at = i * this.pageBytes
      if (this.cpu.read(from + at, buffer) < buffer.length || this.cpu.write(to + at, buffer) < buffer.length)
        return false
    }
    return true
  }

  #allocAlone(what: string): Hpa {
    const pages = this.#pages
    let hpa = pages.allocUser(this.pageBytes, what)
    if (hpa === this.#lastAlone + this.pageBytes) {
      const follower = hpa
      try {
        hpa = pages.allocUser(this.pageBytes, what)
      } finally {
        pages.free(follower, this.pageBytes)
      }
    }
    return (this.#lastAlone = hpa)
  }
  #add(hpa: Hpa, refs: number, pins: number): void {
    const head = this.#head(hpa)
    const counts = this.#counts(head)
    const slot = this.#slot(head)
    const left = (counts.refs[slot] as number) + refs
    const pinned = (counts.pins[slot] as number) + pins
    if (left < 0 || pinned < 0) throw new Error(`frames: ${hex(hpa)} is let go of more often than it was taken`)
    counts.refs[slot] = left
    counts.pins[slot] = pinned
    const block = counts.block[slot] as number
    if (left > 0 || block === 0) return
    counts.block[slot] = 0
    for (let i = 1; i < block; i++) {
      const page = head + i * this.pageBytes
      this.#counts(page).back[this.#slot(page)] = 0
    }
    this.allocated -= block * this.pageBytes
    this.#pages.free(head, block * this.pageBytes)
  }
  #head(hpa: Hpa): Hpa {
    const back = this.#counts(hpa).back[this.#slot(hpa)] as number
    return back === 0 ? hpa : hpa - back * this.pageBytes
  }
  #slot(hpa: Hpa): number {
    return ((hpa | 0) & (CHUNK_BYTES - 1)) / this.pageBytes
  }
  #counts(hpa: Hpa): Counts {
    const index = Math.floor(hpa / CHUNK_BYTES)
    if (index === this.#lastIndex && this.#last) return this.#last
    let counts = this.#chunks.get(index)
    if (!counts) {
      const n = this.#perChunk
      counts = { refs: new Int32Array(n), pins: new Int32Array(n), back: new Int32Array(n), block: new Int32Array(n) }
      this.#chunks.set(index, counts)
    }
    this.#lastIndex = index
    this.#last = counts
    return counts
  }
}

/** The pages that the processes of this host use. */
export const UserFrames: Token<Frames> = token('UserFrames')
