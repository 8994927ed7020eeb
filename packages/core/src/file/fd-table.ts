/** Descriptors of a process, and the open file descriptions they stand for (`struct files_struct`, `struct file`). */
import { UapiError } from '../errno.ts'
import type { FailurePoints } from '../failure-points.ts'
import type { Caller, Process, ProcessFiles } from '../process/process.ts'
import type { FileOps } from './file-ops.ts'

/** How a file was opened. */
export interface OpenMode {
  readonly read: boolean
  readonly write: boolean
}

const READ_WRITE: OpenMode = { read: true, write: true }

/** An open file description (`struct file`): shared by all descriptors that `dup` and `fork` made of it, and by the kernel. */
export class OpenFile {
  readonly ops: FileOps
  readonly mode: OpenMode
  /** The path it was opened by, or what /proc/PID/fd shows for one that was never opened by path. */
  readonly name: string
  /** Where the next read(2) or write(2) of a file with `pread` begins. */
  position = 0n
  #references = 0

  /** @param options `mode` default: both; `name` for listings */
  constructor(ops: FileOps, options: { readonly mode?: OpenMode; readonly name?: string } = {}) {
    this.ops = ops
    this.mode = options.mode ?? READ_WRITE
    this.name = options.name ?? 'anon_inode:'
  }
  /** Descriptors and holders inside the kernel. */
  get references(): number {
    return this.#references
  }
  /** fget(): the file lives until a matching `put`. */
  get(): this {
    this.#references++
    return this
  }
  /** fput(): the last one releases the file. */
  put(): void {
    if (this.#references === 0) throw new Error(`file ${this.name}: put without get`)
    if (--this.#references === 0) this.ops.release()
  }
}

interface Descriptor {
  readonly file: OpenFile
  readonly cloexec: boolean
}

/** How a descriptor is made. */
export interface InstallOptions {
  /** Default false. */
  readonly cloexec?: boolean
  /** Default: reading and writing. */
  readonly mode?: OpenMode
  /** For listings. */
  readonly name?: string
}

/** The descriptors of one process: always the lowest free number. */
export class FdTable implements ProcessFiles {
  readonly #slots: (Descriptor | undefined)[] = []

  /** The table of a process, made at the first question. @throws Error when the process has files of another kind */
  static of(process: Process): FdTable {
    const files = (process.files ??= new FdTable())
    if (!(files instanceof FdTable)) throw new Error(`process ${process.pid} has files of another kind`)
    return files
  }

  /**
   * Gives a file the lowest free number.
   * @param file what an open or a call made, or an open file description that exists already
   * @param limit RLIMIT_NOFILE of the process
   * @param failures where there may be no memory for a file
   * @throws UapiError EMFILE, ENOMEM; a new file is released then
   */
  install(
    file: FileOps | OpenFile,
    options: InstallOptions = {},
    limit: number = Infinity,
    failures?: FailurePoints,
  ): number {
    const open = file instanceof OpenFile ? file : new OpenFile(file, options)
    open.get()
    const fd = this.#free()
    if (fd >= limit) {
      open.put()
      throw new UapiError('EMFILE', 'open', { limit })
    }
    if (failures?.fails(open.name, 'descriptor') === true) {
      open.put()
      throw new UapiError('ENOMEM', 'open', { injected: 'descriptor' })
    }
    this.#slots[fd] = { file: open, cloexec: options.cloexec ?? false }
    return fd
  }
  /**
   * get_unused_fd_flags(), before what the descriptor shall stand for is made.
   * @param limit RLIMIT_NOFILE of the process
   * @throws UapiError EMFILE
   */
  mustHaveRoom(limit: number): void {
    if (this.#free() >= limit) throw new UapiError('EMFILE', 'open', { limit })
  }
  /** @throws UapiError EBADF for a number that stands for nothing */
  get(fd: number): FileOps {
    return this.open(fd).ops
  }
  /** The open file description. @throws UapiError EBADF */
  open(fd: number): OpenFile {
    const slot = this.#slots[fd]
    if (!slot) throw new UapiError('EBADF', 'fd', { fd })
    return slot.file
  }
  /** fget() by number: the kernel keeps the file until `put`, whatever becomes of the descriptor. @throws UapiError EBADF */
  hold(fd: number): OpenFile {
    return this.open(fd).get()
  }
  /** close(2). @throws UapiError EBADF */
  close(fd: number, caller: Caller): void {
    const { ops } = this.open(fd)
    ops.flush?.(caller)
    this.#drop(fd)
  }
  /** dup(2). @param limit RLIMIT_NOFILE @throws UapiError EBADF, EMFILE */
  dup(fd: number, limit: number = Infinity): number {
    return this.install(this.open(fd), {}, limit)
  }
  /** Open descriptors, in order. */
  get all(): readonly { readonly fd: number; readonly file: OpenFile }[] {
    return this.#slots.flatMap((slot, fd) => (slot ? [{ fd, file: slot.file }] : []))
  }

  fork(): FdTable {
    const child = new FdTable()
    this.#slots.forEach((slot, fd) => {
      if (slot) child.#slots[fd] = { ...slot, file: slot.file.get() }
    })
    return child
  }
  exec(process: Process): void {
    this.#closeAll(process, (slot) => slot.cloexec)
  }
  exit(process: Process): void {
    this.#closeAll(process, () => true)
  }

  #closeAll(process: Process, which: (slot: Descriptor) => boolean): void {
    for (let fd = 0; fd < this.#slots.length; fd++) {
      const slot = this.#slots[fd]
      if (slot && which(slot)) this.close(fd, { process })
    }
  }
  #drop(fd: number): void {
    const slot = this.#slots[fd]
    this.#slots[fd] = undefined
    slot?.file.put()
  }
  #free(): number {
    const free = this.#slots.indexOf(undefined)
    return free < 0 ? this.#slots.length : free
  }
}

/** The file behind a descriptor in the caller's table: how fds inside structs are resolved. @throws UapiError EBADF */
export const fileAt = (caller: Caller, fd: number): FileOps => FdTable.of(caller.process).get(fd)

/** The same, kept until `put`: for who uses the file after the call. @throws UapiError EBADF */
export const holdFile = (caller: Caller, fd: number): OpenFile => FdTable.of(caller.process).hold(fd)

/** Gives the caller a descriptor for a file that a call made. @returns its number @throws UapiError EMFILE, ENOMEM; the file is released */
export const installFile = (caller: Caller, file: FileOps, options: InstallOptions = {}): number =>
  FdTable.of(caller.process).install(
    file,
    options,
    caller.process.limits.nofile,
    caller.process.addressSpace.frames.failures,
  )
