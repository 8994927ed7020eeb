/** Calls of an opened device that are the same for every driver. drivers/vfio/vfio_main.c, drivers/vfio/pci/vfio_pci_core.c. */
import { type IoctlRow, type IoctlTable, UapiError, VFIO_CONVENTION, type VfioSession } from '@ioasis/core'
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FLAGS,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  VFIO_REGION_INFO_FLAG,
  type VfioDeviceFeature,
  type VfioDeviceInfo,
  vfioDeviceInfo,
  type VfioIrqInfo,
  type VfioIrqSet,
  type VfioRegionInfo,
  vfioRegionInfo,
} from '@ioasis/uapi'
import { runFeature } from './feature.ts'
import { writeChain } from './info-chain.ts'
import { irqRequest } from './irq-request.ts'

/** A device's file as these calls find it. */
export interface OpenedFile {
  /** The driver's side. @throws UapiError EINVAL while it is parked */
  readonly session: VfioSession
}

const getInfo: IoctlRow<OpenedFile, VfioDeviceInfo> = {
  call: VFIO_DEVICE_GET_INFO,
  run({ session }, { argsz }, caller, arg) {
    const { flags, regions, irqs, capabilities = [] } = session.info
    const chain = writeChain(caller, arg, vfioDeviceInfo.size, argsz, capabilities)
    session.infoAsked?.()
    return {
      ret: 0,
      out: {
        ...chain,
        flags: flags | (capabilities.length > 0 ? VFIO_DEVICE_FLAGS.CAPS : 0),
        num_regions: regions,
        num_irqs: irqs,
        pad: 0,
      },
    }
  },
}

const getRegionInfo: IoctlRow<OpenedFile, VfioRegionInfo> = {
  call: VFIO_DEVICE_GET_REGION_INFO,
  run({ session }, { argsz, index, cap_offset }, caller, arg) {
    const { flags, size, offset, capabilities = [] } = session.regionInfo(index)
    if (capabilities.length === 0) return { ret: 0, out: { flags, size, offset, cap_offset } }
    const chain = writeChain(caller, arg, vfioRegionInfo.size, argsz, capabilities)
    return { ret: 0, out: { ...chain, flags: flags | VFIO_REGION_INFO_FLAG.CAPS, size, offset } }
  },
}

const getIrqInfo: IoctlRow<OpenedFile, VfioIrqInfo> = {
  call: VFIO_DEVICE_GET_IRQ_INFO,
  run: ({ session }, { index }) => ({ ret: 0, out: session.irqInfo(index) }),
}

const setIrqs: IoctlRow<OpenedFile, VfioIrqSet> = {
  call: VFIO_DEVICE_SET_IRQS,
  run({ session }, input, caller, arg) {
    session.setIrqs(caller, irqRequest(session, input, caller, arg))
    return { ret: 0 }
  },
}

const reset: IoctlRow<OpenedFile, never> = {
  call: VFIO_DEVICE_RESET,
  run({ session }) {
    if (!session.reset) throw new UapiError('ENOTTY', 'VFIO_DEVICE_RESET')
    session.reset()
    return { ret: 0 }
  },
}

const feature: IoctlRow<OpenedFile, VfioDeviceFeature> = {
  call: VFIO_DEVICE_FEATURE,
  run: ({ session }, input, caller, arg) => ({ ret: runFeature(session, input, caller, arg) }),
}

/** The calls of an opened device. */
export const DEVICE_TABLE: IoctlTable = {
  file: 'vfio-device',
  convention: VFIO_CONVENTION,
  rows: [getInfo, getRegionInfo, getIrqInfo, setIrqs, reset, feature],
}
