import { CompositionError, createHost, Drivers, Files } from '@ioasis/core'
import { vfio } from '@ioasis/vfio'
import { expect, test } from 'vitest'
import { vfioPci } from './plugin.ts'
import { Model, openedWorld, pciWorld } from './world.test-kit.ts'

test('takes the functions it is told of, in that order', () => {
  const { host, device } = pciWorld({ '00:02.0': new Model(), '00:01.0': new Model() })
  expect([device('00:02.0').own?.index, device('00:01.0').own?.index]).toEqual([0, 1])
  expect(host.get(Drivers).boundTo('vfio-pci').length).toBe(2)
})
test('binds nothing by itself: only an override leads to it', () => {
  const { host, fn } = pciWorld({ '00:01.0': new Model({ pm: 0 }) })
  const drivers = host.get(Drivers)
  const one = fn('00:01.0')
  drivers.unbind('vfio-pci', one)
  expect([one.powerState, drivers.driverOf(one), host.get(Files).exists('/dev/vfio/devices/vfio0')]).toEqual([
    0,
    undefined,
    false,
  ])
  drivers.setOverride(one, undefined)
  expect(() => drivers.bind('vfio-pci', one)).toThrow('ENODEV')
})
test('an open device stays with it until it is closed', () => {
  const { host, vmm, fd, fn } = openedWorld()
  const drivers = host.get(Drivers)
  const removal = drivers.unbind('vfio-pci', fn('00:01.0'))
  expect([removal.done, drivers.driverOf(fn('00:01.0'))?.name]).toEqual([false, 'vfio-pci'])
  vmm.close(fd)
  expect([removal.done, drivers.driverOf(fn('00:01.0'))]).toEqual([true, undefined])
})
test('a place where nobody stands is a composition error', () => {
  expect(() => createHost({ plugins: [vfio(), vfioPci({ bind: ['00:1f.0'] })] })).toThrow(CompositionError)
})
test('bridges among the functions are left alone', () => {
  const { host } = pciWorld({ '00:1f.0': new Model({ bridge: true }), '00:01.0': new Model() })
  expect(
    host
      .get(Drivers)
      .boundTo('vfio-pci')
      .map(({ name }) => name),
  ).toEqual(['0000:00:01.0'])
})
