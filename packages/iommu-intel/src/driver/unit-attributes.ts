/** What `/sys/class/iommu/dmarN/intel-iommu` tells of a unit: drivers/iommu/intel/iommu.c intel_iommu_attrs. */
import type { SysfsAttribute } from '@ioasis/core'
import type { DmarUnit } from './dmar-unit.ts'

/** The attributes by name. Hexadecimal ones have no 0x, as the kernel prints them. */
export function unitAttributes(unit: DmarUnit): Readonly<Record<string, SysfsAttribute>> {
  const { registers, capabilities, version, ids } = unit
  return {
    version: { show: () => `${version >>> 4}:${version & 0xf}\n` },
    address: { show: () => `${registers.base.toString(16)}\n` },
    cap: { show: () => `${capabilities.cap.toString(16)}\n` },
    ecap: { show: () => `${capabilities.ecap.toString(16)}\n` },
    domains_supported: { show: () => `${ids.count}\n` },
    domains_used: { show: () => `${ids.used}\n` },
  }
}
