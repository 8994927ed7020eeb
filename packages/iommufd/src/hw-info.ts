/** IOMMU_GET_HW_INFO: what the IOMMU driver tells of its hardware. drivers/iommu/iommufd/device.c iommufd_get_hw_info. */
import { type Caller, UapiError, writeUser } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import { HW_CAP, HW_INFO_FLAG, HW_INFO_TYPE_NONE } from './uapi.ts'

const CALL = 'IOMMU_GET_HW_INFO'
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
  const info = iommu.hwInfo
  if (info && asked !== HW_INFO_TYPE_NONE && asked !== info.type) {
    throw new UapiError('EOPNOTSUPP', CALL, { data_type: asked })
  }
  const data = info?.read() ?? new Uint8Array(0)
  const copied = Math.min(room, data.length)
  if (copied > 0) writeUser(caller, uva, data.subarray(0, copied), CALL)
  clearUser(caller, uva + BigInt(copied), room - copied)
  return {
    data_len: data.length,
    data_type: info?.type ?? HW_INFO_TYPE_NONE,
    out_max_pasid_log2: iommu.caps.pasidBits,
    out_capabilities: iommu.caps.ats ? 0n : HW_CAP.PCI_ATS_NOT_SUPPORTED,
  }
}

function clearUser(caller: Caller, uva: bigint, bytes: number): void {
  const zeros = new Uint8Array(Math.min(bytes, PIECE))
  for (let done = 0; done < bytes; done += PIECE) {
    writeUser(caller, uva + BigInt(done), zeros.subarray(0, Math.min(PIECE, bytes - done)), CALL)
  }
}
