import { Sysfs } from '@ioasis/core'
import { VFIO_DEVICE_RESET } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { BAR, openedWorld } from './world.test-kit.ts'

test('opening enables decoding, not mastering, and resets', () => {
  const { config, model, fn } = openedWorld({ express: 'flr', pm: 8 })
  expect([config.read(0x04, 2) & 6, model.resets > 0, fn('00:01.0').barAddress(0)]).toEqual([2, true, BAR.memory])
})
test('closing puts the registers back, stops mastering and lets it sleep', () => {
  const { vmm, fd, fn, config, device } = openedWorld({ pm: 0 })
  config.write(0x04, 2, 0x0406)
  vmm.close(fd)
  expect([device().session, fn('00:01.0').powerState, fn('00:01.0').readConfig(0x04, 2) & 4]).toEqual([undefined, 3, 0])
})
test('what one user wrote the next one does not see', () => {
  const { vmm, fd, open, config } = openedWorld({ express: 'flr' })
  config.write(0x3c, 1, 0x55)
  config.write(0x10, 4, 0)
  vmm.close(fd)
  const next = open()
  const into = new Uint8Array(4)
  vmm.pread(next, (7n << 40n) + 0x10n, into)
  expect(into).toEqual(new Uint8Array(Uint32Array.of(BAR.memory).buffer))
})
test('a function whose methods were taken away cannot be reset any more', () => {
  const { vmm, fd, host } = openedWorld({ express: 'flr' })
  host.get(Sysfs).write('/sys/bus/pci/devices/0000:00:01.0/reset_method', '\n')
  expect(() => vmm.ioctl(fd, VFIO_DEVICE_RESET)).toThrow('ENOTTY')
})
test('a function that cannot be reset alone says so', () => {
  const { vmm, fd } = openedWorld()
  expect(() => vmm.ioctl(fd, VFIO_DEVICE_RESET)).toThrow('EINVAL')
})
test('a reset leaves what the user set in COMMAND', () => {
  const { vmm, fd, config, model } = openedWorld({ express: 'flr' })
  config.write(0x04, 2, 6)
  const { resets } = model
  vmm.ioctl(fd, VFIO_DEVICE_RESET)
  expect([config.read(0x04, 2), model.resets - resets]).toEqual([6, 1])
})
