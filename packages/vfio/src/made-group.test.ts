import { SysfsTree } from '@ioasis/core'
import { expect, test } from 'vitest'
import { addMadeGroup, removeMadeGroup } from './made-group.ts'

test('the group and its device point to each other', () => {
  const sysfs = new SysfsTree()
  sysfs.addDirectory('/sys/devices/virtual/card')
  sysfs.addLink('/sys/bus/cards/devices/card', '/sys/devices/virtual/card')
  addMadeGroup(sysfs, 3, '/sys/bus/cards/devices/card')
  const group = '/sys/kernel/iommu_groups/3'
  expect([sysfs.resolve('/sys/devices/virtual/card/iommu_group'), sysfs.resolve(`${group}/devices/card`)]).toEqual([
    group,
    '/sys/devices/virtual/card',
  ])
  removeMadeGroup(sysfs, 3, '/sys/bus/cards/devices/card')
  expect([sysfs.exists(group), sysfs.exists('/sys/devices/virtual/card/iommu_group')]).toEqual([false, false])
})
test('a device without a directory has a group all the same', () => {
  const sysfs = new SysfsTree()
  addMadeGroup(sysfs, 0, undefined)
  expect(sysfs.list('/sys/kernel/iommu_groups/0')).toEqual(['devices', 'name', 'reserved_regions', 'type'])
  removeMadeGroup(sysfs, 0, undefined)
  expect(sysfs.exists('/sys/kernel/iommu_groups/0')).toBe(false)
})
