import { expect, test } from 'vitest'
import { addressSpacesOf, bind } from './binding.ts'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

test('only a file that can hold devices has address spaces', () => {
  const file = new SpaceFile()
  expect(addressSpacesOf(file)).toBe(file.addressSpaces)
  expect(addressSpacesOf({ release: () => undefined })).toBeUndefined()
})
test('unbinding detaches what is attached, PASIDs first', () => {
  const { vfio, add } = vfioWorld()
  add('00:01.0')
  const { addressSpaces, log } = new SpaceFile()
  const [device] = vfio.devices
  if (!device) throw new Error('no device')
  const binding = bind(device, addressSpaces)
  expect([binding.id, binding.attach(7), binding.pasids?.attach(7, 3)]).toEqual([1, 8, 8])
  binding.unbind()
  expect(log).toEqual(['bind 0000:00:01.0', 'attach', 'attach 3', 'detach 3', 'detach', 'unbind'])
})
test('what was never attached is not detached', () => {
  const { vfio, add } = vfioWorld()
  add('mediated')
  const { addressSpaces, log } = new SpaceFile()
  const [device] = vfio.devices
  if (!device) throw new Error('no device')
  const binding = bind(device, addressSpaces)
  binding.detach()
  binding.unbind()
  expect([log, binding.pasids]).toEqual([['access mediated', 'unbind'], undefined])
})
