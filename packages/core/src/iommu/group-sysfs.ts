/** Groups in sysfs: /sys/kernel/iommu_groups/N (drivers/iommu/iommu.c iommu_group_alloc, iommu_group_show_type and others). */
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import { devicePath } from '../pci/pci-sysfs.ts'
import type { Caller } from '../process/process.ts'
import type { SysfsTree } from '../sysfs.ts'
import type { ReservedRegion } from './driver.ts'
import type { Group } from './group.ts'
import type { GroupListener } from './groups.ts'

/** Their order, and what they are called. */
const TYPES = ['direct', 'relaxable', 'reserved', 'msi', 'software-msi'] as const
const NAMES = ['direct', 'direct-relaxable', 'reserved', 'msi', 'msi'] as const

/** Keeps the directories of groups, and each member's link to its group. */
export class GroupSysfs implements GroupListener {
  readonly #sysfs: SysfsTree

  constructor(sysfs: SysfsTree) {
    this.#sysfs = sysfs
    sysfs.addDirectory('/sys/kernel/iommu_groups')
  }
  made(group: Group): void {
    const path = pathOf(group)
    this.#sysfs.addDirectory(`${path}/devices`)
    const { name } = group
    if (name !== undefined) this.#sysfs.addFile(`${path}/name`, { show: () => `${name}\n` })
    this.#sysfs.addFile(`${path}/type`, {
      show: () => `${group.defaultDomainType}\n`,
      store: (text, caller) => storeType(group, text, caller),
    })
    this.#sysfs.addFile(`${path}/reserved_regions`, { show: () => reservedText(group.reserved) })
  }
  joined(group: Group, fn: PciFunction): void {
    this.#sysfs.addLink(`${pathOf(group)}/devices/${fn.name}`, devicePath(fn))
    this.#sysfs.addLink(`${devicePath(fn)}/iommu_group`, pathOf(group))
  }
  left(group: Group, fn: PciFunction): void {
    this.#sysfs.remove(`${pathOf(group)}/devices/${fn.name}`)
    this.#sysfs.remove(`${devicePath(fn)}/iommu_group`)
  }
  deviceJoined(group: Group, name: string): void {
    const path = `/sys/devices/${name}`
    this.#sysfs.addDirectory(path)
    this.#sysfs.addLink(`${pathOf(group)}/devices/${name}`, path)
    this.#sysfs.addLink(`${path}/iommu_group`, pathOf(group))
  }
  deviceLeft(group: Group, name: string): void {
    this.#sysfs.remove(`${pathOf(group)}/devices/${name}`)
    this.#sysfs.remove(`/sys/devices/${name}`)
  }
  gone(group: Group): void {
    this.#sysfs.remove(pathOf(group))
  }
}

const pathOf = (group: Group): string => `/sys/kernel/iommu_groups/${group.id}`

/** iommu_group_store_type. */
function storeType(group: Group, text: string, caller: Caller | undefined): void {
  const process = caller?.process
  if (process && !(process.can('CAP_SYS_ADMIN') && process.can('CAP_SYS_RAWIO'))) {
    throw new UapiError('EACCES', 'type', { group: group.id })
  }
  const type = text.endsWith('\n') ? text.slice(0, -1) : text
  if (type !== 'identity' && type !== 'DMA' && type !== 'DMA-FQ' && type !== 'auto') {
    throw new UapiError('EINVAL', 'type', { group: group.id, type })
  }
  group.setDefaultType(type)
}

const order = (r: ReservedRegion): number => TYPES.indexOf(r.type)
const wide = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`

/** One line for each region; regions of one type that touch are one (iommu_insert_resv_region). */
export function reservedText(regions: readonly ReservedRegion[]): string {
  const merged: ReservedRegion[] = []
  const sorted = regions.toSorted((a, b) => (a.first === b.first ? order(a) - order(b) : a.first < b.first ? -1 : 1))
  for (const region of sorted) {
    const i = merged.findLastIndex((r) => r.type === region.type)
    const before = merged[i]
    if (!before || region.first > before.last + 1n) merged.push(region)
    else if (region.last > before.last) merged[i] = { ...before, last: region.last }
  }
  return merged.map((r) => `${wide(r.first)} ${wide(r.last)} ${NAMES[order(r)]}\n`).join('')
}
