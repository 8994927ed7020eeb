/** The system calls of one process: descriptors, files, memory. What the C library is to a program. */
import type { Uva } from '../address.ts'
import { UapiError } from '../errno.ts'
import type { AccessSize } from '../memory/backing.ts'
import type { Token } from '../plugin/token.ts'
import { type Frames, UserFrames } from '../process/frames.ts'
import type { Caller, Process } from '../process/process.ts'
import { EventFd } from '../wait.ts'
import { FdTable, type OpenFile, type OpenMode } from './fd-table.ts'
import { type FileOps } from './file-ops.ts'
import { POLL } from '../wait.ts'
import { Files, type FileSystem } from './file-system.ts'
import { MemoryFile } from './memory-file.ts'
import type { CallObserver } from './strace.ts'
import { access, type Signal } from './user-access.ts'

/** `ro`, `wo`, `rw`: O_RDONLY, O_WRONLY, O_RDWR. */
export type OpenAccess = 'ro' | 'wo' | 'rw'

const MODES: Readonly<Record<OpenAccess, OpenMode>> = {
  ro: { read: true, write: false },
  wo: { read: false, write: true },
  rw: { read: true, write: true },
}

/** What mmap(2) is asked for. Without `fd`: anonymous memory. */
export interface MapRequest {
  readonly bytes: number | bigint
  readonly fd?: number
  /** Into the file, a multiple of the page size. */
  readonly offset?: bigint
  /** Exact place (MAP_FIXED). */
  readonly uva?: Uva
  /** Default true. */
  readonly read?: boolean
  /** Default true. */
  readonly write?: boolean
  /** Default: false for anonymous memory, true for files. */
  readonly shared?: boolean
  /** Bytes of a huge page, anonymous memory only. */
  readonly huge?: number
}

/** One descriptor of poll(2). */
export interface PollRequest {
  readonly fd: number
  /** Bits of `POLL`; ERR, HUP and NVAL are always told. */
  readonly events: number
}

/** Whoever can give the parts of a host: a `Host`, or a plug-in's view of it. */
export interface Parts {
  get<T>(key: Token<T>): T
}

const POLL_ALWAYS = POLL.ERR | POLL.HUP | POLL.NVAL
/** What poll(2) says for a file that cannot be waited for (DEFAULT_POLLMASK). */
const POLL_DEFAULT = POLL.IN | POLL.OUT

/**
 * System calls as one process makes them. A refusal is thrown as `UapiError`. Nothing blocks: what would block throws EAGAIN.
 * Bytes go in and out as arrays; a buffer at a user address is `readTo`, `writeFrom` and their like.
 */
export class SystemCalls {
  readonly process: Process
  readonly files: FileSystem
  readonly caller: Caller
  /** Told of each ioctl before and after: strace. */
  observer: CallObserver | undefined
  protected readonly host: Parts
  readonly #frames: Frames

  /** @param host where the process runs */
  constructor(host: Parts, process: Process) {
    this.host = host
    this.process = process
    this.caller = { process }
    this.files = host.get(Files)
    this.#frames = host.get(UserFrames)
    FdTable.of(process)
  }

  /** The descriptors. */
  get fds(): FdTable {
    return FdTable.of(this.process)
  }
  /** open(2). @returns a descriptor @throws UapiError ENOENT, EACCES, EMFILE, or what the file answers */
  open(path: string, how: OpenAccess = 'rw'): number {
    const mode = MODES[how]
    this.fds.mustHaveRoom(this.process.limits.nofile)
    return this.#install(this.files.open(this.caller, path, mode), { mode, name: path })
  }
  /** close(2). @throws UapiError EBADF */
  close(fd: number): void {
    this.fds.close(fd, this.caller)
  }
  /** dup(2). @returns another descriptor @throws UapiError EBADF, EMFILE */
  dup(fd: number): number {
    return this.fds.dup(fd, this.process.limits.nofile)
  }
  /** Gives a file that was made otherwise a descriptor: SCM_RIGHTS, a test's own file. @throws UapiError EMFILE */
  adopt(file: FileOps | OpenFile): number {
    return this.#install(file, {})
  }

  /**
   * ioctl(2).
   * @param number u32
   * @param arg u64: a uva for most calls
   * @returns what the call returns, not negative
   * @throws UapiError EBADF; ENOTTY for a file without ioctls; what the call answers
   */
  ioctl(fd: number, number: number, arg: number | bigint = 0n): number {
    const wide = BigInt.asUintN(64, BigInt(arg))
    const told = this.observer?.ioctl(this.caller, fd, number >>> 0, wide)
    try {
      const file = this.fds.get(fd)
      if (!file.ioctl) throw new UapiError('ENOTTY', 'ioctl', { fd, number })
      const ret = file.ioctl(this.caller, number >>> 0, wide)
      told?.(ret)
      return ret
    } catch (error) {
      if (error instanceof UapiError) told?.(error)
      throw error
    }
  }

  /** read(2). @returns bytes read @throws UapiError EBADF, EINVAL, EAGAIN, or what the file answers */
  read(fd: number, into: Uint8Array): number {
    const open = this.#open(fd, 'read')
    const { ops } = open
    if (ops.read) return ops.read(this.caller, into)
    if (!ops.pread) throw new UapiError('EINVAL', 'read', { fd })
    const done = ops.pread(this.caller, open.position, into)
    open.position += BigInt(done)
    return done
  }
  /** write(2). @returns bytes written @throws UapiError as `read` */
  write(fd: number, from: Uint8Array): number {
    const open = this.#open(fd, 'write')
    const { ops } = open
    if (ops.write) return ops.write(this.caller, from)
    if (!ops.pwrite) throw new UapiError('EINVAL', 'write', { fd })
    const done = ops.pwrite(this.caller, open.position, from)
    open.position += BigInt(done)
    return done
  }
  /** pread(2). @throws UapiError ESPIPE for a stream; EINVAL for a negative offset or a file that cannot be read; as `read` */
  pread(fd: number, offset: number | bigint, into: Uint8Array): number {
    const { ops } = this.#at(fd, 'read', BigInt(offset))
    if (ops.pread) return ops.pread(this.caller, BigInt(offset), into)
    throw new UapiError(ops.read ? 'ESPIPE' : 'EINVAL', 'pread', { fd })
  }
  /** pwrite(2). @throws UapiError as `pread` */
  pwrite(fd: number, offset: number | bigint, from: Uint8Array): number {
    const { ops } = this.#at(fd, 'write', BigInt(offset))
    if (ops.pwrite) return ops.pwrite(this.caller, BigInt(offset), from)
    throw new UapiError(ops.write ? 'ESPIPE' : 'EINVAL', 'pwrite', { fd })
  }
  /**
   * read(2), or pread(2) with an offset, into a buffer of the process.
   * @throws UapiError EFAULT when the buffer cannot be written: what the file gave is lost then, unless it keeps it. As `read`, `pread`
   */
  readTo(fd: number, uva: Uva, bytes: number, offset?: number | bigint): number {
    const { ops } = this.#open(fd, 'read')
    if (offset === undefined && ops.readPieces) {
      const { addressSpace } = this.process
      let at = uva
      return ops.readPieces(this.caller, bytes, (piece) => {
        const whole = addressSpace.copyOut(at, piece) === piece.length
        at += BigInt(piece.length)
        return whole
      })
    }
    const into = new Uint8Array(bytes)
    const done = offset === undefined ? this.read(fd, into) : this.pread(fd, offset, into)
    this.#copied(this.process.addressSpace.copyOut(uva, into.subarray(0, done)), done, uva)
    return done
  }
  /**
   * write(2), or pwrite(2) with an offset, from a buffer of the process.
   * @throws UapiError EFAULT before the file sees anything, unless it takes one piece after the other
   */
  writeFrom(fd: number, uva: Uva, bytes: number, offset?: number | bigint): number {
    const { ops } = this.#open(fd, 'write')
    if (offset === undefined && ops.writePieces) {
      const { addressSpace } = this.process
      let at = uva
      return ops.writePieces(this.caller, bytes, (count) => {
        const piece = new Uint8Array(count)
        const whole = addressSpace.copyIn(at, piece) === count
        at += BigInt(count)
        return whole ? piece : undefined
      })
    }
    const from = new Uint8Array(bytes)
    this.#copied(this.process.addressSpace.copyIn(uva, from), bytes, uva)
    return offset === undefined ? this.write(fd, from) : this.pwrite(fd, offset, from)
  }
  /** poll(2) without waiting. @returns the ready bits of each, NVAL for a number that stands for nothing */
  poll(requests: readonly PollRequest[]): readonly number[] {
    const open = new Map(this.fds.all.map((entry) => [entry.fd, entry.file.ops]))
    return requests.map(({ fd, events }) => {
      const ops = open.get(fd)
      if (!ops) return fd < 0 ? 0 : POLL.NVAL
      return (ops.poll ? ops.poll(this.caller) : POLL_DEFAULT) & (events | POLL_ALWAYS)
    })
  }

  /**
   * mmap(2).
   * @returns where
   * @throws UapiError EBADF; EACCES for more than the descriptor allows; ENODEV for a file that cannot be mapped; EINVAL, ENOMEM
   */
  mmap(request: MapRequest): Uva {
    const { bytes, fd, read = true, write = true, uva, huge } = request
    const place = uva === undefined ? {} : { uva }
    const space = this.process.addressSpace
    if (fd === undefined) {
      const kind = huge === undefined ? {} : { huge }
      return space.mmap({ bytes, read, write, shared: request.shared ?? false, ...place, ...kind })
    }
    const { shared = true, offset = 0n } = request
    const file = this.fds.open(fd)
    const { ops, mode } = file
    if (!mode.read || (shared && write && !mode.write)) throw new UapiError('EACCES', 'mmap', { fd })
    if (!ops.mmap) throw new UapiError('ENODEV', 'mmap', { fd })
    const size = BigInt(space.pageBytes)
    if (offset % size !== 0n || BigInt(bytes) <= 0n) throw new UapiError('EINVAL', 'mmap', { fd, offset, bytes })
    const whole = ((BigInt(bytes) + size - 1n) / size) * size
    const mapping = ops.mmap(this.caller, { offset, bytes: whole, read, write, shared })
    const target =
      mapping.kind === 'pages'
        ? { object: mapping.object, firstPage: mapping.firstPage }
        : { window: mapping.window, firstPage: (mapping.offset ?? 0) / space.pageBytes }
    return space.mmap({ bytes, read, write, shared, file, ...place, ...target })
  }
  /** munmap(2). @throws UapiError EINVAL */
  munmap(uva: Uva, bytes: number | bigint): void {
    this.process.addressSpace.munmap(uva, bytes)
  }
  /** A load instruction of the program. @returns the value, or the signal it raises */
  memRead(uva: Uva, width: AccessSize): bigint | Signal {
    return access(this.process.addressSpace, uva, width, undefined)
  }
  /** A store instruction of the program. @returns undefined, or the signal it raises */
  memWrite(uva: Uva, width: AccessSize, value: bigint): Signal | undefined {
    const done = access(this.process.addressSpace, uva, width, value)
    return typeof done === 'bigint' ? undefined : done
  }
  /** Reads a buffer of the process, as the program itself does. @throws UapiError EFAULT where it would get a signal */
  peek(uva: Uva, bytes: number): Uint8Array {
    return this.peekInto(uva, new Uint8Array(bytes))
  }
  /** The same into an array that exists: `into.length` bytes. @returns `into` */
  protected peekInto(uva: Uva, into: Uint8Array, words?: Int32Array): Uint8Array {
    this.#copied(this.process.addressSpace.copyIn(uva, into, words), into.length, uva)
    return into
  }
  /** Writes a buffer of the process, as the program itself does. @throws UapiError EFAULT where it would get a signal */
  poke(uva: Uva, from: Uint8Array, words?: Int32Array): void {
    this.#copied(this.process.addressSpace.copyOut(uva, from, words), from.length, uva)
  }

  /** eventfd(2), not blocking. @returns a descriptor @throws UapiError EMFILE */
  eventfd(initial = 0n, options: { readonly semaphore?: boolean } = {}): number {
    return this.#install(new EventFd({ initial, ...options }), { name: 'anon_inode:[eventfd]' })
  }
  /** memfd_create(2) and ftruncate(2). @param options `huge`: bytes of a huge page @throws UapiError EMFILE */
  memfd(bytes: number, options: { readonly name?: string; readonly huge?: number } = {}): number {
    const name = `/memfd:${options.name ?? ''}`
    return this.#install(new MemoryFile(this.#frames, { bytes, ...options }), { name })
  }
  /** fork(2). @returns the child's calls @throws UapiError ENOMEM */
  fork(): SystemCalls {
    return new SystemCalls(this.host, this.process.fork())
  }
  /** exit(2). */
  exit(): void {
    this.process.exit()
  }

  #install(file: FileOps | OpenFile, options: { readonly mode?: OpenMode; readonly name?: string }): number {
    return this.fds.install(file, options, this.process.limits.nofile, this.#frames.failures)
  }
  #open(fd: number, what: 'read' | 'write'): OpenFile {
    const open = this.fds.open(fd)
    if (!open.mode[what]) throw new UapiError('EBADF', what, { fd })
    return open
  }
  #at(fd: number, what: 'read' | 'write', offset: bigint): OpenFile {
    if (offset < 0n) throw new UapiError('EINVAL', `p${what}`, { fd, offset })
    return this.#open(fd, what)
  }
  #copied(done: number, wanted: number, uva: Uva): void {
    if (done < wanted) throw new UapiError('EFAULT', 'copy', { uva, done, wanted })
  }
}
