import { SysfsTree } from '@ioasis/core'
import { expect, test } from 'vitest'
import { addParameters } from './parameters.ts'

const at = (name: string): string => `/sys/module/vfio_pci/parameters/${name}`

test('parameters read as Y or N, and those that may be are written', () => {
  const sysfs = new SysfsTree()
  const all = { nointxmask: false, disableVga: true, disableIdleD3: false, enableSriov: false, disableDenylist: false }
  addParameters(sysfs, all)
  sysfs.write(at('enable_sriov'), '1\n')
  expect([sysfs.read(at('disable_vga')), sysfs.read(at('enable_sriov')), all.enableSriov]).toEqual(['Y\n', 'Y\n', true])
  expect(() => sysfs.write(at('disable_vga'), 'N')).toThrow('EACCES')
  expect(() => sysfs.write(at('nointxmask'), 'maybe')).toThrow('EINVAL')
})
