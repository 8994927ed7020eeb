/** The contract of an ioctl: a row of data. The same row dispatches, types the client, prints strace lines and feeds fuzzing. */
import type { CStruct, Decoded, StructLayout } from '../c-struct.ts'
import type { Errno } from '../errno.ts'
import { type Token, tokens } from '../plugin/token.ts'
import type { Caller } from '../process/process.ts'

/** A call as a plain value that a uAPI exports: `IOMMU_IOAS_MAP`. It has no behaviour: rows bring that. */
export interface IoctlCall<T> {
  /** The constant's name. */
  readonly name: string
  /** As the kernel computes it, u32. */
  readonly number: number
  /** Layout of the struct behind the argument; undefined: the argument is a plain number or a pointer the row reads itself. */
  readonly struct: CStruct<T> | undefined
  /** Shortest struct that older programs pass, in bytes. */
  readonly minimum: number
}

/** A call of which the struct's type is not known here. */
export interface AnyIoctlCall {
  readonly name: string
  readonly number: number
  readonly struct: StructLayout<unknown> | undefined
  readonly minimum: number
}

/**
 * Declares a call.
 * @param number as `_IO` and its like make it
 * @param struct what the argument points to
 * @param minimum shortest struct in bytes; default: all of it
 */
export function ioctlCall<T = never>(
  name: string,
  number: number,
  struct?: CStruct<T>,
  minimum: number = struct?.size ?? 0,
): IoctlCall<T> {
  return { name, number, struct, minimum }
}

/** How a table's calls are laid out and refused; Linux differs by file. */
export interface IoctlConvention {
  /**
   * First member of each struct, which carries the struct's size: `size` in iommufd, `argsz` in VFIO. Absent (KVM): the size
   * is fixed.
   */
  readonly sizeField?: 'size' | 'argsz'
  /** For a flag that no row knows: EOPNOTSUPP in iommufd, EINVAL in VFIO. Rows say it themselves; strace and fuzzing read it here. */
  readonly unknownFlag: Errno
  /**
   * What lies beyond the known struct. `E2BIG`: it must be readable and zero, and all of the struct that was passed is read.
   * `ignore`: only the `minimum` is read, a longer struct only says how much may be written back.
   */
  readonly tail: 'E2BIG' | 'ignore'
  /** Calls whose `nr` lies in here have their size read before the rest of the number is compared, as iommufd does. */
  readonly sizedFirst?: { readonly first: number; readonly last: number }
}

/** iommufd: drivers/iommu/iommufd/main.c iommufd_fops_ioctl. */
export const IOMMUFD_CONVENTION: IoctlConvention = {
  sizeField: 'size',
  unknownFlag: 'EOPNOTSUPP',
  tail: 'E2BIG',
}
/** VFIO: drivers/vfio/*.c, each call copies its minimum. */
export const VFIO_CONVENTION: IoctlConvention = { sizeField: 'argsz', unknownFlag: 'EINVAL', tail: 'ignore' }
/** KVM: structs of fixed size. */
export const KVM_CONVENTION: IoctlConvention = { unknownFlag: 'EINVAL', tail: 'ignore' }

/** What a call answers: the system call's result, and the members to write back. Without `out` nothing is written. */
export interface IoctlResult<T> {
  readonly ret: number
  readonly out?: Partial<T>
}

/**
 * One ioctl of one kind of file. A refusal is a thrown `UapiError`, which may carry `out`: members the kernel writes back
 * although it refuses. What a refusal leaves behind is what Linux leaves behind.
 */
export interface IoctlRow<File, T> {
  readonly call: IoctlCall<T>
  /** In place of the table's: VFIO_DEVICE_BIND_IOMMUFD checks its tail, its neighbours do not. */
  readonly convention?: IoctlConvention
  /**
   * Runs the call.
   * @param input the decoded struct: members by name, or `word(offset)` where a bigint is too slow. Empty without a
   *   struct. It stands in a buffer that the next call uses: what is kept is copied
   * @param arg the raw third argument, u64
   */
  run(file: File, input: T & Decoded, caller: Caller, arg: bigint): IoctlResult<T>
  /**
   * Undoes `run` when its result cannot be copied out (EFAULT): the created object is aborted. Absent: the effect stays, as
   * in Linux.
   */
  abort?(file: File, out: Partial<T>, caller: Caller): void
}

/** A row of which file and struct are not known here. */
export interface AnyIoctlRow {
  readonly call: AnyIoctlCall
  readonly convention?: IoctlConvention
  run(file: never, input: never, caller: Caller, arg: bigint): IoctlResult<unknown>
  abort?(file: never, out: never, caller: Caller): void
}

/** The ioctls of one kind of file. Extensions (IOMMU_TEST) contribute a table for the same `file`. */
export interface IoctlTable {
  /** `iommufd`, `vfio-container`, `vfio-group`, `vfio-device`, `kvm`, `kvm-vm`, `kvm-device`. */
  readonly file: string
  readonly convention: IoctlConvention
  readonly rows: readonly AnyIoctlRow[]
}
/** All tables of this host: the trace player, strace and fuzzing find structs here without importing the packages. */
export const IoctlTable: Token<IoctlTable> = tokens('IoctlTable')
