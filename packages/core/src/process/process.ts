/** Processes: who calls. */
import { type Token, token } from '../plugin/token.ts'
import { AddressSpace } from './address-space.ts'
import type { Frames } from './frames.ts'
import { LockedPages } from './locked-pages.ts'

/** Who makes a call. Every file operation gets one; nothing captures a process at open. */
export interface Caller {
  readonly process: Process
}

/** A user, for what Linux counts per user (`struct user_struct`). */
export interface User {
  readonly uid: number
  /** `user->locked_vm`: what iommufd charges. */
  readonly locked: LockedPages
}

/** Capabilities this host looks at, include/uapi/linux/capability.h. */
export type LinuxCapability = 'CAP_IPC_LOCK' | 'CAP_SYS_ADMIN' | 'CAP_SYS_RAWIO' | 'CAP_SYS_RESOURCE'

/** What a process may do. */
export interface Credentials {
  readonly uid: number
  readonly gid: number
  readonly capabilities: ReadonlySet<LinuxCapability>
}

/** Resource limits, setrlimit(2). */
export interface Limits {
  /** RLIMIT_MEMLOCK in bytes; Infinity: none. */
  readonly memlock: number
  /** RLIMIT_NOFILE: descriptors. */
  readonly nofile: number
}

/** The open files of a process, as the process needs them; the file layer brings the table. */
export interface ProcessFiles {
  /** For a child: the same open files under the same numbers. */
  fork(): ProcessFiles
  /** Closes what was opened with O_CLOEXEC. @param process whose table it is */
  exec(process: Process): void
  /** Closes everything. @param process whose table it is */
  exit(process: Process): void
}

/** One process (its threads included). */
export interface Process {
  readonly pid: number
  /** For messages and accounting, e.g. `qemu`. */
  readonly name: string
  /** Its memory now; `exec` puts another one in its place. What Linux latches (an mm) is stored by who needs it. */
  readonly addressSpace: AddressSpace
  /** Set by the file layer before the first open. */
  files: ProcessFiles | undefined
  credentials: Credentials
  limits: Limits
  readonly user: User
  readonly alive: boolean
  /** Whether it holds a capability. */
  can(capability: LinuxCapability): boolean
  /** Pages it may lock: RLIMIT_MEMLOCK, or Infinity with CAP_IPC_LOCK. */
  readonly lockLimit: number
  /** A child with copies of memory, files, credentials and limits. @throws UapiError ENOMEM; Error when it has ended */
  fork(): Process
  /** Runs another program: new memory, O_CLOEXEC files closed. */
  exec(name?: string): void
  /** Ends: memory first, then files, as do_exit() does. Harmless when it has ended. */
  exit(): void
}

/** How a process starts. */
export interface ProcessOptions {
  readonly name?: string
  /** Default 0. */
  readonly uid?: number
  /** Default 0. */
  readonly gid?: number
  /** Default: all for uid 0, none for others. */
  readonly capabilities?: readonly LinuxCapability[]
  /** Default: 8 MiB (include/uapi/linux/resource.h MLOCK_LIMIT) and 1024. */
  readonly limits?: Partial<Limits>
}

const ALL: readonly LinuxCapability[] = ['CAP_IPC_LOCK', 'CAP_SYS_ADMIN', 'CAP_SYS_RAWIO', 'CAP_SYS_RESOURCE']
const DEFAULT_LIMITS: Limits = { memlock: 8 << 20, nofile: 1024 }

/** The processes of one host. */
export class ProcessTable {
  readonly frames: Frames
  readonly #processes = new Map<number, Process>()
  readonly #users = new Map<number, User>()
  #nextPid = 1

  /** @param frames the pages they use */
  constructor(frames: Frames) {
    this.frames = frames
  }

  /** Processes that run, by pid. */
  get all(): readonly Process[] {
    return [...this.#processes.values()]
  }
  /** The running process of that number. */
  find(pid: number): Process | undefined {
    return this.#processes.get(pid)
  }
  /** The user of that number; made at the first question. */
  user(uid: number): User {
    let user = this.#users.get(uid)
    if (!user) this.#users.set(uid, (user = { uid, locked: new LockedPages() }))
    return user
  }
  /** Starts a process with empty memory and no files. */
  spawn(options: ProcessOptions = {}): Process {
    const { name = 'init', uid = 0, gid = 0, capabilities = uid === 0 ? ALL : [], limits } = options
    return this.#start({
      name,
      credentials: { uid, gid, capabilities: new Set(capabilities) },
      limits: { ...DEFAULT_LIMITS, ...limits },
      addressSpace: new AddressSpace(this.frames),
      files: undefined,
    })
  }

  #start(parts: Parts): Process {
    const pid = this.#nextPid++
    const process = new HostProcess(pid, parts, {
      user: (uid) => this.user(uid),
      start: (child) => this.#start(child),
      ended: () => this.#processes.delete(pid),
    })
    this.#processes.set(pid, process)
    return process
  }
}

/** The processes of this host. */
export const Processes: Token<ProcessTable> = token('Processes')

interface Parts {
  readonly name: string
  readonly credentials: Credentials
  readonly limits: Limits
  readonly addressSpace: AddressSpace
  readonly files: ProcessFiles | undefined
}
interface Owner {
  user(uid: number): User
  start(parts: Parts): Process
  ended(): void
}

class HostProcess implements Process {
  readonly pid: number
  name: string
  credentials: Credentials
  limits: Limits
  files: ProcessFiles | undefined
  addressSpace: AddressSpace
  alive = true
  readonly #owner: Owner

  constructor(pid: number, parts: Parts, owner: Owner) {
    this.pid = pid
    this.name = parts.name
    this.credentials = parts.credentials
    this.limits = parts.limits
    this.files = parts.files
    this.addressSpace = parts.addressSpace
    this.#owner = owner
  }

  get user(): User {
    return this.#owner.user(this.credentials.uid)
  }
  can(capability: LinuxCapability): boolean {
    return this.credentials.capabilities.has(capability)
  }
  get lockLimit(): number {
    if (this.can('CAP_IPC_LOCK')) return Infinity
    return Math.floor(this.limits.memlock / this.addressSpace.pageBytes)
  }
  fork(): Process {
    if (!this.alive) throw new Error(`process ${this.pid} has ended and cannot fork`)
    const { name, credentials, limits } = this
    const addressSpace = this.addressSpace.fork()
    return this.#owner.start({ name, credentials, limits, addressSpace, files: this.files?.fork() })
  }
  exec(name: string = this.name): void {
    this.name = name
    const old = this.addressSpace
    this.addressSpace = new AddressSpace(old.frames)
    old.destroy()
    this.files?.exec(this)
  }
  exit(): void {
    if (!this.alive) return
    this.alive = false
    this.addressSpace.destroy()
    this.files?.exit(this)
    this.#owner.ended()
  }
}
