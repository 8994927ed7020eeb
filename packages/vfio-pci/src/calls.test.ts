import { expect, test } from 'vitest'
import { PCI_TABLE } from './calls.ts'
import { openedWorld } from './world.test-kit.ts'

test('what no row answers is ENOTTY', () => {
  const { vmm, fd } = openedWorld()
  expect(() => vmm.ioctl(fd, 0x3bff, 0n)).toThrow('ENOTTY')
})
test('its rows join those of every device file', () => {
  expect([PCI_TABLE.file, PCI_TABLE.rows.map(({ call }) => call.name)]).toEqual([
    'vfio-device',
    ['VFIO_DEVICE_GET_PCI_HOT_RESET_INFO', 'VFIO_DEVICE_PCI_HOT_RESET', 'VFIO_DEVICE_IOEVENTFD'],
  ])
})
