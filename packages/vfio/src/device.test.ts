import { expect, test } from 'vitest'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

function registered() {
  const world = vfioWorld()
  const driver = world.add('00:01.0')
  const [device] = world.vfio.devices
  if (!device) throw new Error('no device')
  return { ...world, driver, device, spaces: new SpaceFile().addressSpaces }
}

test("one session for all who come from the group; the device's own node gives one opener alone", () => {
  const { device, driver, spaces, vmm } = registered()
  const session = device.open(vmm.caller, { via: spaces, again: true, vm: undefined })
  expect(device.open(vmm.caller, { via: spaces, again: true, vm: undefined })).toBe(session)
  expect(() => device.open(vmm.caller, { via: spaces, again: false, vm: undefined })).toThrow('EINVAL')
  device.close()
  expect([device.opens, driver.log]).toEqual([1, ['open']])
  device.close()
  expect([device.opens, driver.log, device.binding]).toEqual([0, ['open', 'close'], undefined])
})
test('without a container there is no way to memory', () => {
  const { device, driver, vmm } = registered()
  expect(() => device.open(vmm.caller, { via: undefined, again: true, vm: undefined })).toThrow('EINVAL')
  expect(driver.log).toEqual([])
})
test('it is gone with its last file, not before', () => {
  const { device, driver, vmm, spaces, exists } = registered()
  const file = vmm.open('/dev/vfio/devices/vfio0')
  device.open(vmm.caller, { via: spaces, again: false, vm: undefined })
  const removal = driver.registration.remove()
  expect([removal.done, driver.log.at(-1), exists('/dev/vfio/devices/vfio0')]).toEqual([false, 'request 0', false])
  device.close()
  vmm.close(file)
  expect(removal.done).toBe(true)
})
