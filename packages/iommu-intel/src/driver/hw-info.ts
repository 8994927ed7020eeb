/** What IOMMU_GET_HW_INFO answers for VT-d. include/uapi/linux/iommufd.h struct iommu_hw_info_vtd. */

/** IOMMU_HW_INFO_TYPE_INTEL_VTD. */
export const HW_INFO_VTD = 1
/** IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17: Linux sets it for every unit (drivers/iommu/intel/iommu.c intel_iommu_hw_info). */
const ERRATA_772415_SPR17 = 1

/**
 * The 24 bytes of the structure: flags, a reserved word, CAP, ECAP.
 * @param cap the Capability Register, u64
 * @param ecap the Extended Capability Register, u64
 */
export function hwInfoBytes(cap: bigint, ecap: bigint): Uint8Array {
  const bytes = new Uint8Array(24)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, ERRATA_772415_SPR17, true)
  view.setBigUint64(8, cap, true)
  view.setBigUint64(16, ecap, true)
  return bytes
}
