/** How Linux makes an ioctl's number, include/uapi/asm-generic/ioctl.h: direction, size of the struct, type, number. */
/* oxlint-disable no-underscore-dangle -- the header's names */

const NONE = 0
const WRITE = 1
const READ = 2

const make = (direction: number, type: number | string, nr: number, size: number): number =>
  ((direction << 30) | (size << 16) | ((typeof type === 'number' ? type : type.charCodeAt(0)) << 8) | nr) >>> 0

/** `_IO(type, nr)`: the number carries neither a size nor a direction. @param type a character or its code, `';'` */
export const _IO = (type: number | string, nr: number): number => make(NONE, type, nr, 0)
/** `_IOR`: the kernel writes the struct. @param size its bytes */
export const _IOR = (type: number | string, nr: number, size: number): number => make(READ, type, nr, size)
/** `_IOW`: the kernel reads the struct. @param size its bytes */
export const _IOW = (type: number | string, nr: number, size: number): number => make(WRITE, type, nr, size)
/** `_IOWR`: the kernel reads the struct and writes it back. @param size its bytes */
export const _IOWR = (type: number | string, nr: number, size: number): number => make(READ | WRITE, type, nr, size)

/** The `nr` of a number. */
export const ioctlNr = (number: number): number => number & 0xff
/** The `type` of a number, a character code. */
export const ioctlType = (number: number): number => (number >>> 8) & 0xff
/** The size a number carries, in bytes. */
export const ioctlSize = (number: number): number => (number >>> 16) & 0x3fff
