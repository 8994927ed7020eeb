import { VFIO_DEVICE_GET_INFO } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { atomicCapability } from './atomics.ts'
import { put } from './config/permission.ts'
import { AT, Model, openedWorld, pciWorld } from './world.test-kit.ts'

/** A port of a kind at 00:03.0 and an endpoint behind it, with what they can. */
function behind(portType: number, portCan: number, can: number) {
  const port = new Model({ bridge: true })
  port.config[6] = 0x10
  port.config[0x34] = 0x40
  port.config.set([0x10, 0, 2 | (portType << 4), 0], 0x40)
  put(port.config, 0x40 + 0x24, 4, portCan)
  const model = new Model({ express: true })
  put(model.config, AT.express + 0x24, 4, can)
  const { fn } = pciWorld({ '00:03.0': port, '01:00.0': model })
  fn('01:00.0').writeConfig(AT.pm, 2, 0)
  return fn('01:00.0')
}

test('widths that function and root port have; the function may send them then', () => {
  const fn = behind(4, 0x380, 0x180)
  expect([...(atomicCapability(fn)[0]?.body ?? [])]).toEqual([3, 0, 0, 0, 0, 0, 0, 0])
  expect(fn.config[AT.express + 0x28]).toBe(0x40)
})
test.each([
  ['a root port that completes none', 4, 0x40],
  ['a switch port that routes none', 6, 0x380],
])('none behind %s', (_what, type, can) => {
  expect(atomicCapability(behind(type, can, 0x380))).toEqual([])
})
test('a function on a root bus tells of none', () => {
  const { vmm, fd } = openedWorld({ express: true })
  expect(vmm.ioctl(fd, VFIO_DEVICE_GET_INFO, {}).flags & 0x100).toBe(0)
})
