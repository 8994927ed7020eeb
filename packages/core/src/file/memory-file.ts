/** memfd_create(2): memory that has a descriptor. */
import { UapiError } from '../errno.ts'
import type { Frames } from '../process/frames.ts'
import { type MemoryOptions, SharedPages } from '../process/memory-pages.ts'
import { NO_PAGE, ZERO_PAGE } from '../process/page-object.ts'
import type { Caller } from '../process/process.ts'
import type { FileOps, Mapping, MmapRequest } from './file-ops.ts'

/** An open memfd. The pages live as long as it is open, mapped or pinned. */
export class MemoryFile implements FileOps {
  /** What is mapped, and pinned by (object, index). */
  readonly object: SharedPages
  readonly #frames: Frames

  constructor(frames: Frames, options: MemoryOptions) {
    this.#frames = frames
    this.object = new SharedPages(frames, options)
  }

  /** @returns bytes read: fewer at the end of the file */
  pread(_caller: Caller, offset: bigint, into: Uint8Array): number {
    const from = Number(offset)
    return this.#each(from, Math.min(into.length, Math.max(0, this.object.bytes - from)), (index, within, done, n) => {
      const page = this.object.peek(index)
      const part = into.subarray(done, done + n)
      if (page !== ZERO_PAGE && page !== NO_PAGE) return this.#frames.cpu.read(page + within, part)
      part.fill(0)
      return n
    })
  }
  /**
   * The file grows when it is written beyond its end.
   * @returns bytes written
   * @throws UapiError ENOMEM
   */
  pwrite(_caller: Caller, offset: bigint, from: Uint8Array): number {
    const first = Number(offset)
    if (first + from.length > this.object.bytes) this.object.truncate(first + from.length)
    return this.#each(first, from.length, (index, within, done, n) =>
      this.#frames.cpu.write(this.object.fault(index) + within, from.subarray(done, done + n)),
    )
  }
  /** @throws UapiError EINVAL for an offset that is not a page's */
  mmap(_caller: Caller, { offset }: MmapRequest): Mapping {
    const size = BigInt(this.#frames.pageBytes)
    if (offset % size !== 0n) throw new UapiError('EINVAL', 'mmap', { offset })
    return { kind: 'pages', object: this.object, firstPage: Number(offset / size) }
  }
  release(): void {
    this.object.release()
  }

  #each(
    first: number,
    length: number,
    piece: (page: number, within: number, done: number, n: number) => number,
  ): number {
    const size = this.#frames.pageBytes
    let done = 0
    while (done < length) {
      const within = (first + done) % size
      const n = Math.min(length - done, size - within)
      const got = piece((first + done - within) / size, within, done, n)
      done += got
      if (got < n) break
    }
    return done
  }
}
