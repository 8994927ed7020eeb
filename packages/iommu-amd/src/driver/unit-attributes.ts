/** What `/sys/class/iommu/ivhdN` tells of a unit: drivers/iommu/amd/init.c amd_iommu_attrs; drivers/iommu/iommu-sysfs.c. */
import type { SysfsTree } from '@ioasis/core'
import type { AmdDriver } from './amd-driver.ts'

/** Puts the units under /sys/class/iommu: devices of their own, below the unit's PCI function. */
export function showUnits(sysfs: SysfsTree, { units, features }: AmdDriver): void {
  const { efr, efr2 } = features
  for (const { name, header, fn } of units) {
    const device = `/sys/bus/pci/devices/${fn.name}`
    const directory = `${sysfs.resolve(device)}/iommu/${name}`
    sysfs.addFile(`${directory}/amd-iommu/cap`, { show: () => `${(header >>> 0).toString(16)}\n` })
    sysfs.addFile(`${directory}/amd-iommu/features`, { show: () => `${efr.toString(16)}:${efr2.toString(16)}\n` })
    sysfs.addLink(`${directory}/device`, device)
    sysfs.addLink(`/sys/class/iommu/${name}`, directory)
  }
}
