/**
 * The kernel's page allocator: naturally aligned blocks of 2^n pages of 4 KiB out of the host's RAM.
 *
 * Each range of RAM is carved from the bottom up; what comes back is kept on one stack per block size. Blocks are joined
 * again only when a request finds nothing, so that taking and giving back one table page costs a push and a pop.
 */
import { hex, hpaHi, hpaLo, type Hpa } from '../address.ts'
import { UapiError } from '../errno.ts'
import { FailurePoints } from '../failure-points.ts'
import { type Token, token } from '../plugin/token.ts'
import type { Cpu } from './cpu.ts'
import { CHUNK_BYTES, CHUNK_MASK, chunkIndex, type HostMemory } from './host-memory.ts'

const PAGE_SHIFT = 12
const PAGE_BYTES = 1 << PAGE_SHIFT
/** Largest block: 2^18 pages, 1 GiB. */
const MAX_ORDER = 18
/** Below it live firmware and legacy devices; drivers treat address 0 as "none". */
const LOWEST = 0x10_0000
const ZEROS = new Uint8Array(PAGE_BYTES)

/** One stretch of RAM. Pages at or above `next` were never handed out. */
interface Range {
  readonly first: Hpa
  readonly end: Hpa
  next: Hpa
  /** For each page below `next`: 1 + the order of the block handed out that starts there, else 0. */
  heads: Uint8Array
}

/** Hands out host pages. */
export class PageAllocator {
  /** Bytes handed out and not given back: an audit counter. */
  allocated = 0
  /** Fault injection: with n set, the n-th allocation from now throws ENOMEM, once. */
  failAfter: number | undefined
  readonly #memory: HostMemory
  readonly #cpu: Cpu
  readonly #failures: FailurePoints
  readonly #ranges: Range[] = []
  /** Free blocks of each order. */
  readonly #free: Hpa[][] = Array.from({ length: MAX_ORDER + 1 }, () => [])
  /** Something was freed since blocks were joined. */
  #joinable = false

  /**
   * @param memory its RAM, as it is now, is what is handed out; RAM behind a backing is left alone
   * @param cpu writes the zeros
   * @param failures where taking pages for a table may fail
   */
  constructor(memory: HostMemory, cpu: Cpu, failures: FailurePoints = new FailurePoints()) {
    this.#memory = memory
    this.#cpu = cpu
    this.#failures = failures
    for (const { first, last } of memory.ram) if (memory.whatIs(first) !== 'backing') this.#addRange(first, last + 1)
  }

  /**
   * Takes zeroed pages; a raw read on the bus sees the zeros as well.
   * @param bytes rounded up to a power of two of at least 4096; the block is aligned to that size
   * @param what who asks, for the message
   * @throws UapiError ENOMEM
   */
  alloc(bytes: number, what = 'alloc_pages'): Hpa {
    this.#failures.pass(what, 'table')
    return this.allocUser(bytes, what)
  }
  /** The same for the memory of a process, which is no point of failure: its pin is one, its first touch is the process's own. */
  allocUser(bytes: number, what: string): Hpa {
    const order = orderOf(bytes)
    if (this.failAfter !== undefined && --this.failAfter <= 0) {
      this.failAfter = undefined
      throw new UapiError('ENOMEM', what, { bytes, injected: 'yes' })
    }
    const hpa = order > MAX_ORDER ? undefined : ((this.#free[order] as Hpa[]).pop() ?? this.#find(order))
    if (hpa === undefined) throw new UapiError('ENOMEM', what, { bytes, allocated: this.allocated })
    const range = this.#rangeOf(hpa) as Range
    range.heads[(hpa - range.first) / PAGE_BYTES] = order + 1
    const size = PAGE_BYTES * 2 ** order
    this.allocated += size
    this.#zero(hpa, size)
    return hpa
  }

  /**
   * Gives a block back.
   * @param bytes as given to `alloc`
   * @throws Error when no block of that size was handed out there
   */
  free(hpa: Hpa, bytes: number): void {
    const order = orderOf(bytes)
    const range = this.#rangeOf(hpa)
    const page = range ? (hpa - range.first) / PAGE_BYTES : 0
    if (!range || hpa >= range.next || range.heads[page] !== order + 1) {
      throw new Error(`pages: ${hex(hpa)} with ${hex(bytes)} bytes is freed but was not handed out so`)
    }
    range.heads[page] = 0
    this.allocated -= PAGE_BYTES * 2 ** order
    ;(this.#free[order] as Hpa[]).push(hpa)
    this.#joinable = true
  }

  /**
   * Keeps RAM out of what is handed out (firmware, crash kernel, RMRR). Call it while composing.
   * @throws RangeError when pages there were handed out before
   */
  reserve(first: Hpa, bytes: number): void {
    const from = Math.floor(first / PAGE_BYTES) * PAGE_BYTES
    const end = Math.ceil((first + bytes) / PAGE_BYTES) * PAGE_BYTES
    const touched = this.#ranges.filter((r) => r.first < end && r.end > from)
    const late = touched.find((r) => r.next > from)
    if (late && late.next > late.first) {
      throw new RangeError(`pages: ${hex(first)} is reserved after pages there were handed out`)
    }
    for (const range of touched) {
      this.#ranges.splice(this.#ranges.indexOf(range), 1)
      this.#addRange(range.first, from)
      this.#addRange(end, range.end)
    }
    this.#ranges.sort((a, b) => a.first - b.first)
  }

  /** Whether [hpa, hpa + bytes) lies in blocks that are handed out: for the audit, not for hot paths. */
  isAllocated(hpa: Hpa, bytes: number): boolean {
    let at = hpa
    while (at < hpa + bytes) {
      const block = this.#blockAt(at)
      if (!block) return false
      at = block.end
    }
    return true
  }

  #addRange(first: Hpa, end: Hpa): void {
    const from = Math.max(first, LOWEST)
    if (from < end) this.#ranges.push({ first: from, end, next: from, heads: new Uint8Array(64) })
  }
  #rangeOf(hpa: Hpa): Range | undefined {
    for (const r of this.#ranges) if (hpa >= r.first && hpa < r.end) return r
    return undefined
  }
  #blockAt(hpa: Hpa): { readonly end: Hpa } | undefined {
    const range = this.#rangeOf(hpa)
    if (!range) return undefined
    for (let order = 0; order <= MAX_ORDER; order++) {
      const size = PAGE_BYTES * 2 ** order
      const first = Math.floor(hpa / size) * size
      if (first >= range.first && range.heads[(first - range.first) / PAGE_BYTES] === order + 1)
        return { end: first + size }
    }
    return undefined
  }

  /** A block of `order` when the stack of that order is empty: fresh, cut from a larger one, or joined. */
  #find(order: number): Hpa | undefined {
    const fresh = this.#carve(order) ?? this.#cut(order)
    if (fresh !== undefined || !this.#join()) return fresh
    return this.#free[order]?.pop() ?? this.#carve(order) ?? this.#cut(order)
  }
  #carve(order: number): Hpa | undefined {
    const size = PAGE_BYTES * 2 ** order
    for (const range of this.#ranges) {
      let hpa = Math.ceil(range.next / size) * size
      while (hpa + size <= range.end && !this.#memory.isMemory(hpa, size)) hpa += size
      if (hpa + size > range.end) continue
      this.#shelve(range.next, hpa)
      range.next = hpa + size
      const pages = (range.next - range.first) / PAGE_BYTES
      if (pages > range.heads.length) {
        const grown = new Uint8Array(Math.max(pages, range.heads.length * 2))
        grown.set(range.heads)
        range.heads = grown
      }
      return hpa
    }
    return undefined
  }
  /** Puts [first, end) on the stacks in the largest aligned blocks; pages under registers are left out for good. */
  #shelve(first: Hpa, end: Hpa): void {
    for (let at = first; at < end;) {
      let size = PAGE_BYTES
      let order = 0
      while (order < MAX_ORDER && at % (size * 2) === 0 && at + size * 2 <= end) {
        size *= 2
        order++
      }
      for (; order > 0 && !this.#memory.isMemory(at, size); order--) size /= 2
      if (this.#memory.isMemory(at, size)) (this.#free[order] as Hpa[]).push(at)
      at += size
    }
  }
  /** Cuts the smallest larger block; its lower end is the result. */
  #cut(order: number): Hpa | undefined {
    for (let larger = order + 1; larger <= MAX_ORDER; larger++) {
      const hpa = (this.#free[larger] as Hpa[]).pop()
      if (hpa === undefined) continue
      for (let half = larger - 1; half >= order; half--) (this.#free[half] as Hpa[]).push(hpa + PAGE_BYTES * 2 ** half)
      return hpa
    }
    return undefined
  }
  /** Joins neighbours among the free blocks, highest last so that the lowest is handed out next. @returns whether any moved */
  #join(): boolean {
    if (!this.#joinable) return false
    this.#joinable = false
    const blocks = this.#free.flatMap((list, order) =>
      list.splice(0).map((first) => ({ first, end: first + PAGE_BYTES * 2 ** order })),
    )
    blocks.sort((a, b) => a.first - b.first)
    const runs: { first: Hpa; end: Hpa }[] = []
    for (const block of blocks) {
      const run = runs.at(-1)
      if (run && run.end === block.first && this.#rangeOf(run.first) === this.#rangeOf(block.first)) run.end = block.end
      else runs.push(block)
    }
    for (const run of runs.toReversed()) {
      const range = this.#rangeOf(run.first)
      if (range?.next === run.end) range.next = run.first
      else this.#shelve(run.first, run.end)
    }
    return true
  }

  #zero(hpa: Hpa, bytes: number): void {
    const cpu = this.#cpu
    for (let done = 0; done < bytes;) {
      const at = hpa + done
      const within = hpaLo(at) & CHUNK_MASK
      const n = Math.min(bytes - done, CHUNK_BYTES - within)
      const index = chunkIndex(hpaHi(at), hpaLo(at))
      const words = index < cpu.words.length ? cpu.words[index] : undefined
      if (words) words.fill(0, within >>> 2, (within + n) >>> 2)
      else this.#zeroSlowly(at, n, index)
      done += n
    }
  }
  /** No view: RAM that nobody touched is zero already; the rest is written, past the caches. */
  #zeroSlowly(hpa: Hpa, bytes: number, index: number): void {
    if (this.#memory.snoop === undefined && !this.#memory.isTouched(index)) return
    for (let done = 0; done < bytes; done += PAGE_BYTES) this.#cpu.write(hpa + done, ZEROS)
    this.#cpu.clflush(hpa, bytes)
  }
}

/** The page allocator of this host. */
export const Pages: Token<PageAllocator> = token('Pages')

function orderOf(bytes: number): number {
  if (!(bytes > 0)) throw new RangeError(`pages: ${bytes} bytes`)
  return bytes <= PAGE_BYTES ? 0 : Math.ceil(Math.log2(bytes)) - PAGE_SHIFT
}
