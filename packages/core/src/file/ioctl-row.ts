/** The contract of an ioctl: a row of data. The same row dispatches, types the client, prints strace lines and feeds fuzzing. */
import type { Errno } from '../errno.ts'
import { type Token, tokens } from '../plugin/token.ts'
import type { Caller } from '../process/process.ts'

/** How a table's calls are laid out and refused; Linux differs by file. */
export interface IoctlConvention {
  /** Field that carries the struct's size: `size` in iommufd, `argsz` in VFIO; absent for calls without one. */
  readonly sizeField?: 'size' | 'argsz'
  /** For a flag that no row knows: EOPNOTSUPP in iommufd, EINVAL in VFIO. */
  readonly unknownFlag: Errno
  /** For a tail beyond the known struct that is not zero: E2BIG, or ignored. */
  readonly tail: 'E2BIG' | 'ignore'
}

/**
 * One ioctl. `In` is the decoded struct. A refusal is a thrown `UapiError`, which may carry `out`: fields the kernel writes
 * back although it refuses. What a refusal leaves behind is what Linux leaves behind.
 */
export interface IoctlRow<File, In, Out> {
  /** The constant's name, `IOMMU_IOAS_MAP`. */
  readonly name: string
  /** `_IO` number as the kernel computes it. */
  readonly number: number
  /** Layout of the struct behind the argument; undefined when the argument is a plain number. */
  readonly struct: StructLayout<In> | undefined
  /** Shortest struct that older programs pass, in bytes. */
  readonly minimum: number
  /**
   * Runs the call. @param arg the raw third argument
   * @returns the system call's result, and the fields to write back
   */
  run(file: File, input: In, caller: Caller, arg: bigint): { readonly ret: number; readonly out?: Partial<Out> }
  /**
   * Undoes `run` when its result cannot be copied out (EFAULT): the created object is aborted. Absent: the effect stays, as
   * in Linux.
   */
  readonly abort?: (file: File, out: Partial<Out>) => void
}

/** What a row needs of a struct's layout; `c-struct` makes them. */
export interface StructLayout<T> {
  readonly name: string
  readonly size: number
  readonly fields: readonly { readonly name: string; readonly offset: number; readonly size: number }[]
  decode(bytes: Uint8Array): T
  encode(values: Partial<T>, into: Uint8Array): void
}

/** The ioctls of one kind of file. Extensions (IOMMU_TEST) contribute a table for the same `file`. */
export interface IoctlTable {
  /** `iommufd`, `vfio-container`, `vfio-group`, `vfio-device`, `kvm`, `kvm-vm`, `kvm-device`. */
  readonly file: string
  readonly convention: IoctlConvention
  readonly rows: readonly IoctlRow<never, never, unknown>[]
}
/** All tables of this host: the trace player, strace and fuzzing find structs here without importing the packages. */
export const IoctlTable: Token<IoctlTable> = tokens('IoctlTable')
