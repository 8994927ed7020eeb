/** Numbers of the calls of /dev/iommu, include/uapi/linux/iommufd.h IOMMUFD_TYPE: they carry no size and no direction. */
import { _IO, type CStruct, type IoctlCall, ioctlCall } from '@ioasis/core'

/** `IOMMUFD_TYPE`, which VFIO uses too. */
const TYPE = ';'
/** First and last `nr` of the table. */
export const IOMMUFD_NR = { first: 0x80, last: 0x94 } as const
/** Every u64 has this as its last value; as an argument of MAP and UNMAP it is refused or means all. */
export const U64_MAX: bigint = (1n << 64n) - 1n

/**
 * Declares a call.
 * @param last the member that ended the struct when the call was new: shorter ones are refused, as programs built against
 * that header pass no less (drivers/iommu/iommufd/main.c IOCTL_OP)
 */
export function iommufdCall<T>(name: string, nr: number, layout: CStruct<T>, last: keyof T & string): IoctlCall<T> {
  const end = layout.at[last] + (layout.fields.find((field) => field.name === last)?.size ?? 0)
  return ioctlCall(name, _IO(TYPE, nr), layout, end)
}
