/** How a device file is bound to an iommufd and attached to one of its page tables; include/uapi/linux/vfio.h. */
import { type CStruct, flags, type IoctlCall, ioctlCall, s32, struct, u32, u64 } from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** `token_uuid_ptr` is meant. */
export const VFIO_DEVICE_BIND_FLAG_TOKEN = 0x1
/** `pasid` is meant. */
export const VFIO_DEVICE_ATTACH_PASID = 0x1
/** `pasid` is meant. */
export const VFIO_DEVICE_DETACH_PASID = 0x1

/** `struct vfio_device_bind_iommufd`. */
export interface VfioDeviceBindIommufd {
  readonly argsz: number
  readonly flags: number
  readonly iommufd: number
  /** The device's object id. */
  readonly out_devid: number
  /** uva of 16 bytes: the token of a virtual function's parent. */
  readonly token_uuid_ptr: bigint
}
export const vfioDeviceBindIommufd: CStruct<VfioDeviceBindIommufd> = struct('vfio_device_bind_iommufd', {
  argsz: u32,
  flags: flags(u32, { TOKEN: VFIO_DEVICE_BIND_FLAG_TOKEN }),
  iommufd: s32,
  out_devid: u32,
  token_uuid_ptr: u64,
})
/** Its tail is checked, unlike that of other VFIO calls (drivers/vfio/device_cdev.c vfio_df_ioctl_bind_iommufd). */
export const VFIO_DEVICE_BIND_IOMMUFD: IoctlCall<VfioDeviceBindIommufd> = ioctlCall(
  'VFIO_DEVICE_BIND_IOMMUFD',
  vfioNumber(18),
  vfioDeviceBindIommufd,
  16,
)

/** `struct vfio_device_attach_iommufd_pt`. */
export interface VfioDeviceAttachIommufdPt {
  readonly argsz: number
  readonly flags: number
  /** In: an IOAS or a HWPT. Out: the HWPT in the end. */
  readonly pt_id: number
  /** Read only with VFIO_DEVICE_ATTACH_PASID. */
  readonly pasid: number
}
export const vfioDeviceAttachIommufdPt: CStruct<VfioDeviceAttachIommufdPt> = struct('vfio_device_attach_iommufd_pt', {
  argsz: u32,
  flags: flags(u32, { PASID: VFIO_DEVICE_ATTACH_PASID }),
  pt_id: u32,
  pasid: u32,
})
/** A row reads `pasid` itself when the flag is set: only 12 bytes are copied before. */
export const VFIO_DEVICE_ATTACH_IOMMUFD_PT: IoctlCall<VfioDeviceAttachIommufdPt> = ioctlCall(
  'VFIO_DEVICE_ATTACH_IOMMUFD_PT',
  vfioNumber(19),
  vfioDeviceAttachIommufdPt,
  12,
)

/** `struct vfio_device_detach_iommufd_pt`. */
export interface VfioDeviceDetachIommufdPt {
  readonly argsz: number
  readonly flags: number
  /** Read only with VFIO_DEVICE_DETACH_PASID. */
  readonly pasid: number
}
export const vfioDeviceDetachIommufdPt: CStruct<VfioDeviceDetachIommufdPt> = struct('vfio_device_detach_iommufd_pt', {
  argsz: u32,
  flags: flags(u32, { PASID: VFIO_DEVICE_DETACH_PASID }),
  pasid: u32,
})
/** A row reads `pasid` itself when the flag is set: only 8 bytes are copied before. */
export const VFIO_DEVICE_DETACH_IOMMUFD_PT: IoctlCall<VfioDeviceDetachIommufdPt> = ioctlCall(
  'VFIO_DEVICE_DETACH_IOMMUFD_PT',
  vfioNumber(20),
  vfioDeviceDetachIommufdPt,
  8,
)
