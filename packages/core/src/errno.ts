/** Linux errno values (include/uapi/asm-generic/errno-base.h, errno.h) and the one exception a refused request throws. */
import { hex } from './address.ts'

/** Name to number, as the x86 and powerpc ABIs share them. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  ERANGE: 34,
  EDEADLOCK: 35,
  ENOSYS: 38,
  ELOOP: 40,
  EBADE: 52,
  ENODATA: 61,
  EOVERFLOW: 75,
  EBADFD: 77,
  EUSERS: 87,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ETIMEDOUT: 110,
} as const

/** The name of a Linux error, e.g. `EINVAL`. */
export type Errno = keyof typeof ERRNO

/**
 * A refused request: which operation, which errno, the values that caused it, and what the kernel writes back although
 * it refuses (IOMMU_IOAS_IOVA_RANGES with EMSGSIZE does). The uAPI edge turns it into `-errno`.
 */
export class UapiError extends Error {
  override readonly name = 'UapiError'
  readonly errno: Errno
  readonly operation: string
  readonly context: Readonly<Record<string, number | bigint | string>>
  readonly out: unknown

  /**
   * @param errno what the caller sees
   * @param operation the call or kernel operation, e.g. `IOMMU_IOAS_MAP`
   * @param context the values that caused the refusal, printed in hexadecimal
   * @param out fields that are written back all the same
   */
  constructor(
    errno: Errno,
    operation: string,
    context: Readonly<Record<string, number | bigint | string>> = {},
    out?: unknown,
  ) {
    const values = Object.entries(context).map(([key, v]) => `${key}=${typeof v === 'string' ? v : hex(v)}`)
    super([`${operation}: ${errno}`, ...values].join(' '))
    this.errno = errno
    this.operation = operation
    this.context = context
    this.out = out
  }

  /** The negative number a system call returns. */
  get ret(): number {
    return -ERRNO[this.errno]
  }
}
