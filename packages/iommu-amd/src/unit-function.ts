/**
 * The PCI function that every unit is: a capability block that tells where its registers are and what it can do, and the MSI
 * capability its own interrupts take. 48882 "PCI Resources". Class 08/06: an IOMMU.
 */
import { CAP, type FunctionModel, HEADER, STATUS } from '@ioasis/core'
import { CAPABILITY, CAPABILITY_BASE } from './spec/features.ts'

/** Where the MSI capability of a composed unit stands. */
const MSI = 0x64
/** 64-bit addresses, one message. */
const MSI_CONTROL = 0x0080
const VENDOR_AMD = 0x1022
/** Ryzen's IOMMU. */
const DEVICE = 0x1451

/** What the function tells. */
export interface UnitFunctionParts {
  /** Where the capability block stands. */
  readonly offset: number
  /** Its first word. */
  readonly header: number
  readonly registers: number
  /** The MSI capability was written. */
  readonly messageWritten: () => void
}

/** Makes the function of a composed unit. */
export function unitFunction({ offset, header, registers, messageWritten }: UnitFunctionParts): FunctionModel {
  const config = new Uint8Array(256)
  const view = new DataView(config.buffer)
  view.setUint16(HEADER.VENDOR_ID, VENDOR_AMD, true)
  view.setUint16(HEADER.DEVICE_ID, DEVICE, true)
  view.setUint16(HEADER.STATUS, STATUS.CAP_LIST, true)
  view.setUint32(HEADER.REVISION_ID, 0x0806_0000, true)
  config[HEADER.CAPABILITY_LIST] = offset
  view.setUint32(offset + CAPABILITY.HEADER, ((header & ~0xff00) | (MSI << 8)) >>> 0, true)
  view.setUint32(offset + CAPABILITY.BASE_LO, (registers | (1 << CAPABILITY_BASE.Enable.lo)) >>> 0, true)
  view.setUint32(offset + CAPABILITY.BASE_HI, Math.floor(registers / 2 ** 32), true)
  view.setUint16(MSI, CAP.MSI, true)
  view.setUint16(MSI + 2, MSI_CONTROL, true)
  return {
    name: 'AMD IOMMU',
    config,
    bars: [],
    configWritten: (at, size) => {
      if (at + size > MSI && at < MSI + 16) messageWritten()
    },
  }
}
