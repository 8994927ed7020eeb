/**
 * Groups that vfio makes for devices without an IOMMU, in sysfs: there as long as a VFIO driver has the device.
 * drivers/vfio/group.c vfio_noiommu_group_alloc, vfio_device_remove_group; drivers/iommu/iommu.c iommu_group_alloc.
 */
import { type SysfsTree, UapiError } from '@ioasis/core'

const pathOf = (id: number): string => `/sys/kernel/iommu_groups/${id}`
const resolved = (sysfs: SysfsTree, device: string): string => (sysfs.exists(device) ? sysfs.resolve(device) : device)

/** @param device its directory; undefined: it has none */
export function addMadeGroup(sysfs: SysfsTree, id: number, device: string | undefined): void {
  const path = pathOf(id)
  sysfs.addDirectory(`${path}/devices`)
  sysfs.addFile(`${path}/name`, { show: () => 'vfio-noiommu\n' })
  sysfs.addFile(`${path}/reserved_regions`, { show: () => '' })
  // There is no default domain: nothing to tell or to change (iommu_group_show_type, iommu_group_store_type).
  sysfs.addFile(`${path}/type`, {
    show: () => 'unknown\n',
    store(_text, caller) {
      const process = caller?.process
      const may = !process || (process.can('CAP_SYS_ADMIN') && process.can('CAP_SYS_RAWIO'))
      throw new UapiError(may ? 'EINVAL' : 'EACCES', 'type', { group: id })
    },
  })
  if (device === undefined) return
  const directory = resolved(sysfs, device)
  sysfs.addLink(`${directory}/iommu_group`, path)
  sysfs.addLink(`${path}/devices/${directory.slice(directory.lastIndexOf('/') + 1)}`, directory)
}

/** Takes the group and the device's link to it away. */
export function removeMadeGroup(sysfs: SysfsTree, id: number, device: string | undefined): void {
  if (device !== undefined) sysfs.remove(`${resolved(sysfs, device)}/iommu_group`)
  sysfs.remove(pathOf(id))
}
