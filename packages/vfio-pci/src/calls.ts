/** Calls that only PCI functions have: hot reset and writes by event. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_ioctl. */
import { type Caller, IoctlDispatch, type IoctlRow, type IoctlTable, VFIO_CONVENTION } from '@ioasis/core'
import {
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_IOEVENTFD,
  VFIO_DEVICE_PCI_HOT_RESET,
  type VfioDeviceIoeventfd,
  type VfioPciHotReset,
  type VfioPciHotResetInfo,
} from '@ioasis/uapi'
import type { HeldFunction } from './held-function.ts'
import { hotResetInfo, hotReset } from './hot-reset.ts'
import type { IoEvents } from './io-event.ts'

/** An opened function as these calls find it. */
export interface PciFile {
  readonly device: HeldFunction
  readonly ioEvents: IoEvents
}

const getHotResetInfo: IoctlRow<PciFile, VfioPciHotResetInfo> = {
  call: VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  run: ({ device }, { argsz }, caller, arg) => ({ ret: 0, out: hotResetInfo(device, caller, arg, argsz) }),
}
const reset: IoctlRow<PciFile, VfioPciHotReset> = {
  call: VFIO_DEVICE_PCI_HOT_RESET,
  run({ device }, input, caller, arg) {
    hotReset(device, caller, arg, input)
    return { ret: 0 }
  },
}
const ioeventfd: IoctlRow<PciFile, VfioDeviceIoeventfd> = {
  call: VFIO_DEVICE_IOEVENTFD,
  run({ ioEvents }, input, caller) {
    ioEvents.set(caller, input)
    return { ret: 0 }
  },
}

/** In addition to what every device answers. */
export const PCI_TABLE: IoctlTable = {
  file: 'vfio-device',
  convention: VFIO_CONVENTION,
  rows: [getHotResetInfo, reset, ioeventfd],
}
const dispatch = new IoctlDispatch([PCI_TABLE])

/** @throws UapiError ENOTTY for a number that is none of them */
export const runDeviceCall = (file: PciFile, caller: Caller, number: number, arg: bigint): number =>
  dispatch.run(file, caller, number, arg)
