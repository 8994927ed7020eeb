/** Ioctls of a group, /dev/vfio/N; include/uapi/linux/vfio.h. */
import { type CStruct, flags, type IoctlCall, ioctlCall, struct, u32 } from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** Flags of `vfio_group_status`. */
export const VFIO_GROUP_FLAGS = { VIABLE: 1, CONTAINER_SET: 2 } as const

/** `struct vfio_group_status`. */
export interface VfioGroupStatus {
  readonly argsz: number
  readonly flags: number
}
export const vfioGroupStatus: CStruct<VfioGroupStatus> = struct('vfio_group_status', {
  argsz: u32,
  flags: flags(u32, VFIO_GROUP_FLAGS),
})

export const VFIO_GROUP_GET_STATUS: IoctlCall<VfioGroupStatus> = ioctlCall(
  'VFIO_GROUP_GET_STATUS',
  vfioNumber(3),
  vfioGroupStatus,
)
/** The argument points to the container's descriptor, `__s32`. */
export const VFIO_GROUP_SET_CONTAINER: IoctlCall<never> = ioctlCall('VFIO_GROUP_SET_CONTAINER', vfioNumber(4))
export const VFIO_GROUP_UNSET_CONTAINER: IoctlCall<never> = ioctlCall('VFIO_GROUP_UNSET_CONTAINER', vfioNumber(5))
/** The argument points to the device's name, a C string. @returns a descriptor */
export const VFIO_GROUP_GET_DEVICE_FD: IoctlCall<never> = ioctlCall('VFIO_GROUP_GET_DEVICE_FD', vfioNumber(6))
