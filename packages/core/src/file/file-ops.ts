/** The contract of an open file: bytes in, bytes out, nothing blocks. */
import type { TrappedWindow } from '../memory/backing.ts'
import { type Token, tokens } from '../plugin/token.ts'
import type { PageObject } from '../process/page-object.ts'
import type { Caller } from '../process/process.ts'
import type { WaitQueue } from '../wait.ts'

/** Takes one piece of what is read. @returns false when the caller's buffer cannot be written */
export type HandPiece = (piece: Uint8Array) => boolean
/** Gives the next bytes of what is written; undefined when the caller's buffer cannot be read. */
export type TakePiece = (bytes: number) => Uint8Array | undefined

/**
 * One open file description, shared by all descriptors that `dup` and `fork` made of it. Each call names its caller: nothing
 * captures a process at open, and descriptors and addresses inside structs are resolved in the caller's own tables. What Linux
 * latches (an mm) is stored by the file itself, as such.
 *
 * A member that is absent answers as Linux does for a file without that operation (ENOTTY for ioctl, EINVAL for read and
 * write, ENODEV for mmap). Refusals are thrown as `UapiError`. Nothing blocks: would-block is EAGAIN, and `waitQueue` tells
 * whoever plays the syscall layer when to try again.
 */
export interface FileOps {
  /** Names of the `IoctlTable`s that answer its ioctls, for strace: numbers alone do not tell, 112 of VFIO is three calls. */
  readonly ioctlTables?: readonly string[]
  /** @param arg the third argument: a uva for nearly all. @returns a non-negative result */
  ioctl?(caller: Caller, number: number, arg: bigint): number
  read?(caller: Caller, into: Uint8Array): number
  write?(caller: Caller, from: Uint8Array): number
  /**
   * read(2) of a file that keeps what cannot be handed over, beside `read`.
   * @param hand copies a piece into the caller's buffer, behind those before; false: that cannot be written
   */
  readPieces?(caller: Caller, bytes: number, hand: HandPiece): number
  /**
   * write(2) of a file that acts on a piece before it looks at the next one, beside `write`.
   * @param take gives the next bytes of the caller's buffer; undefined: they cannot be read
   */
  writePieces?(caller: Caller, bytes: number, take: TakePiece): number
  pread?(caller: Caller, offset: bigint, into: Uint8Array): number
  pwrite?(caller: Caller, offset: bigint, from: Uint8Array): number
  mmap?(caller: Caller, request: MmapRequest): Mapping
  /** Bits of `POLL` that are ready now. */
  poll?(caller: Caller): number
  readonly waitQueue?: WaitQueue
  /** A descriptor was closed by this process (close(2) reaches `flush` before the last `release`). */
  flush?(caller: Caller): void
  /** The last descriptor is gone. Never throws. */
  release(): void
}

/** What mmap(2) asks of a file. */
export interface MmapRequest {
  readonly offset: bigint
  readonly bytes: bigint
  readonly read: boolean
  readonly write: boolean
  readonly shared: boolean
}

/** What a mapping of a file shows. */
export type Mapping =
  /** Pages of memory; they live as long as somebody maps or pins them. */
  | { readonly kind: 'pages'; readonly object: PageObject; readonly firstPage: number }
  /** Registers: every load and store is trapped. A revoked window answers with SIGBUS until it is given back. */
  | {
      readonly kind: 'window'
      readonly window: TrappedWindow
      /** First byte of the window that is mapped, a multiple of the page size; default 0. */
      readonly offset?: number
    }

/** A place where processes open files: `/dev/iommu`. Packages contribute nodes through the `FileNode` token or `Files`. */
export interface FileNode {
  /** Absolute path, or a prefix ending in `/` below which `open` decides. */
  readonly path: string
  /** Permission bits of a node that root owns; default 0o600. */
  readonly mode?: number
  /**
   * Opens the node.
   * @param path the whole path: for a prefix, what was asked below it
   * @throws UapiError ENOENT, EACCES, EBUSY, ENODEV
   */
  open(caller: Caller, path: string, how: { readonly read: boolean; readonly write: boolean }): FileOps
  /** For a prefix: the names below it. Absent: none are listed, and only `open` knows. */
  names?(): readonly string[]
}
/** Nodes that are there from boot on. Those that come and go are added to `Files`. */
export const FileNode: Token<FileNode> = tokens('FileNode')
