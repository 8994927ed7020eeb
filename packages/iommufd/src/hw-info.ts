/** IOMMU_GET_HW_INFO: what the IOMMU driver tells of its hardware. drivers/iommu/iommufd/device.c iommufd_get_hw_info. */
import { type Caller, type IommuDevice, type PciFunction, UapiError, writeUser } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import { HW_CAP, HW_INFO_FLAG, HW_INFO_TYPE_NONE } from './uapi.ts'

const CALL = 'IOMMU_GET_HW_INFO'
/** PCI Express Base Specification r6.0 "7.8.9 PASID Extended Capability Structure". */
const PASID_CAPABILITY = 0x001b
const PASID_CONTROL = { OFFSET: 6, EXEC: 2, PRIV: 4 } as const
/** Zeros are written in pieces of this size: how much there is to clear is the caller's word. */
const PIECE = 4096

/** What is asked. */
export interface HwInfoRequest {
  readonly flags: number
  readonly dev_id: number
  readonly data_len: number
  readonly data_uptr: bigint
  /** Which kind of data, with INPUT_TYPE; 0: what there is. */
  readonly data_type: number
  readonly __reserved: Uint8Array
}

/** The answer's members. */
export interface HwInfoAnswer {
  /** Bytes the kernel has, which may be more than the caller's room. */
  readonly data_len: number
  readonly data_type: number
  readonly out_max_pasid_log2: number
  readonly out_capabilities: bigint
}

/**
 * Writes the data to the caller's room, zeros behind it.
 * @throws UapiError EOPNOTSUPP for unknown flags and for a kind of data the driver does not have; ENOENT; EFAULT
 */
export function hwInfo(context: IommufdContext, caller: Caller, request: HwInfoRequest): HwInfoAnswer {
  const { flags, data_len: room, data_uptr: uva, __reserved } = request
  if ((flags & ~HW_INFO_FLAG.INPUT_TYPE) !== 0 || __reserved.some((byte) => byte !== 0)) {
    throw new UapiError('EOPNOTSUPP', CALL, { flags })
  }
  const { iommu } = context.objects.find(request.dev_id, Device)
  const asked = flags & HW_INFO_FLAG.INPUT_TYPE ? request.data_type : HW_INFO_TYPE_NONE
  const info = iommu.hwInfo?.(asked)
  const data = info?.bytes ?? new Uint8Array(0)
  const copied = Math.min(room, data.length)
  if (copied > 0) writeUser(caller, uva, data.subarray(0, copied), CALL)
  clearUser(caller, uva + BigInt(copied), room - copied)
  return {
    data_len: data.length,
    data_type: info?.type ?? HW_INFO_TYPE_NONE,
    out_max_pasid_log2: iommu.caps.pasidBits,
    out_capabilities: capabilities(iommu),
  }
}

function capabilities({ caps, fn }: IommuDevice): bigint {
  const pasid = caps.pasidBits > 0 && fn ? pasidControl(fn) : 0
  return (
    (caps.dirtyTracking === true ? HW_CAP.DIRTY_TRACKING : 0n) |
    (caps.ats === true ? 0n : HW_CAP.PCI_ATS_NOT_SUPPORTED) |
    (pasid & PASID_CONTROL.EXEC ? HW_CAP.PCI_PASID_EXEC : 0n) |
    (pasid & PASID_CONTROL.PRIV ? HW_CAP.PCI_PASID_PRIV : 0n)
  )
}

/** PASID Control Register; that of a virtual function is the physical one's (drivers/pci/ats.c pci_pasid_status). */
function pasidControl(fn: PciFunction): number {
  const owner = fn.virtfn?.physfn ?? fn
  const at = owner.extendedCapability(PASID_CAPABILITY)
  return at === 0 ? 0 : owner.readConfig(at + PASID_CONTROL.OFFSET, 2)
}

function clearUser(caller: Caller, uva: bigint, bytes: number): void {
  const zeros = new Uint8Array(Math.min(bytes, PIECE))
  for (let done = 0; done < bytes; done += PIECE) {
    writeUser(caller, uva + BigInt(done), zeros.subarray(0, Math.min(PIECE, bytes - done)), CALL)
  }
}
