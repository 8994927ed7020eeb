/** What IOMMU_GET_HW_INFO answers for AMD-Vi: include/uapi/linux/iommufd.h struct iommu_hw_info_amd; drivers/iommu/amd/iommufd.c. */
import { type HwInfo, UapiError } from '@ioasis/core'
import type { FeatureRegisters } from './features.ts'

/** IOMMU_HW_INFO_TYPE_AMD. */
export const HW_INFO_AMD = 4

/** The 16 bytes of the structure: EFR, EFR2, as all units have them. @throws UapiError EOPNOTSUPP for another type than 0 and AMD's */
export function hwInfo(type: number, { efr, efr2 }: FeatureRegisters): HwInfo {
  if (type !== 0 && type !== HW_INFO_AMD) throw new UapiError('EOPNOTSUPP', 'amd_iommufd_hw_info', { type })
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, efr, true)
  view.setBigUint64(8, efr2, true)
  return { type: HW_INFO_AMD, bytes }
}
