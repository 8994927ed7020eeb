/** What a PCI device adds: fixed indices, hot reset; include/uapi/linux/vfio.h. */
import { type CStruct, flags, type IoctlCall, ioctlCall, struct, u16, u32, u8 } from '@ioasis/core'
import { vfioNumber } from './number.ts'

/** Regions. BAR n is region n; those from 9 on say what they are in a TYPE capability. */
export const VFIO_PCI_REGION = { BAR0: 0, BAR5: 5, ROM: 6, CONFIG: 7, VGA: 8, COUNT: 9 } as const
/** Interrupts. */
export const VFIO_PCI_IRQ = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4, COUNT: 5 } as const
/** `VFIO_DEVICE_API_PCI_STRING`. */
export const VFIO_DEVICE_API_PCI_STRING = 'vfio-pci'

/** `id` is a device's object id in the caller's iommufd; else a group number. */
export const VFIO_PCI_HOT_RESET_FLAG = { DEV_ID: 1, DEV_ID_OWNED: 2 } as const
/** In place of an object id: owned by the same iommufd, but not opened; not owned. */
export const VFIO_PCI_DEVID = { OWNED: 0, NOT_OWNED: 0xffff_ffff } as const

/** `struct vfio_pci_dependent_device`: a function that is reset too. */
export interface VfioPciDependentDevice {
  /** `group_id` or `devid`, as the flags say. */
  readonly id: number
  readonly segment: number
  readonly bus: number
  /** device << 3 | function. */
  readonly devfn: number
}
export const vfioPciDependentDevice: CStruct<VfioPciDependentDevice> = struct('vfio_pci_dependent_device', {
  id: u32,
  segment: u16,
  bus: u8,
  devfn: u8,
})

/** `struct vfio_pci_hot_reset_info` without its `devices`, which follow at byte 12. */
export interface VfioPciHotResetInfo {
  readonly argsz: number
  readonly flags: number
  readonly count: number
}
export const vfioPciHotResetInfo: CStruct<VfioPciHotResetInfo> = struct('vfio_pci_hot_reset_info', {
  argsz: u32,
  flags: flags(u32, VFIO_PCI_HOT_RESET_FLAG),
  count: u32,
})
export const VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: IoctlCall<VfioPciHotResetInfo> = ioctlCall(
  'VFIO_DEVICE_GET_PCI_HOT_RESET_INFO',
  vfioNumber(12),
  vfioPciHotResetInfo,
)

/** `struct vfio_pci_hot_reset` without its `group_fds` (`s32`), which follow at byte 12. */
export interface VfioPciHotReset {
  readonly argsz: number
  readonly flags: number
  readonly count: number
}
export const vfioPciHotReset: CStruct<VfioPciHotReset> = struct('vfio_pci_hot_reset', {
  argsz: u32,
  flags: u32,
  count: u32,
})
export const VFIO_DEVICE_PCI_HOT_RESET: IoctlCall<VfioPciHotReset> = ioctlCall(
  'VFIO_DEVICE_PCI_HOT_RESET',
  vfioNumber(13),
  vfioPciHotReset,
)
