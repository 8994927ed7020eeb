/** Numbers of VFIO's ioctls, include/uapi/linux/vfio.h VFIO_TYPE and VFIO_BASE. They carry no size and no direction. */
import { _IO } from '@ioasis/core'

/** `VFIO_TYPE`. */
export const VFIO_TYPE = ';'
/** `VFIO_BASE`. */
export const VFIO_BASE = 100
/** `VFIO_API_VERSION`, the answer of VFIO_GET_API_VERSION. */
export const VFIO_API_VERSION = 0

/** `_IO(VFIO_TYPE, VFIO_BASE + n)`. The same n means another call on another kind of file: 12, 13, 14, 17 and 21. */
export const vfioNumber = (n: number): number => _IO(VFIO_TYPE, VFIO_BASE + n)
