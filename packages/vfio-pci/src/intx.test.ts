import { Drivers, Sysfs } from '@ioasis/core'
import { VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { put } from './config/permission.ts'
import { configAccess, Model, openedWorld, pciWorld } from './world.test-kit.ts'

const { DATA_NONE, DATA_EVENTFD, ACTION_TRIGGER, ACTION_MASK, ACTION_UNMASK } = VFIO_IRQ_SET

function withLine() {
  const world = openedWorld({ pin: 1 })
  const { vmm, fd, model } = world
  const set = (flags: number, event?: number, count = 1): string | undefined => {
    const data = event === undefined ? new Uint8Array(0) : new Uint8Array(Int32Array.of(event).buffer)
    return vmm.attempt(fd, VFIO_DEVICE_SET_IRQS, { flags, index: 0, count }, data).errno
  }
  const event = vmm.eventfd()
  const signalled = (of = event): number => {
    const into = new Uint8Array(8)
    try {
      vmm.read(of, into)
    } catch {
      return 0
    }
    return into[0] ?? 0
  }
  const raise = (on = true): void => model.fn?.interrupts.setIntx(on)
  return { ...world, set, event, signalled, raise }
}

test('an interrupt is told once and masks the line until it is unmasked', () => {
  const { set, event, signalled, raise } = withLine()
  set(DATA_EVENTFD | ACTION_TRIGGER, event)
  raise()
  expect([signalled(), signalled()]).toEqual([1, 0])
  set(DATA_NONE | ACTION_UNMASK)
  expect(signalled()).toBe(1)
  raise(false)
  set(DATA_NONE | ACTION_UNMASK)
  expect(signalled()).toBe(0)
  raise()
  expect(signalled()).toBe(1)
})
test('another event may unmask', () => {
  const { set, event, signalled, raise, vmm } = withLine()
  const unmask = vmm.eventfd()
  set(DATA_EVENTFD | ACTION_TRIGGER, event)
  expect([set(DATA_EVENTFD | ACTION_UNMASK, unmask), set(DATA_EVENTFD | ACTION_UNMASK, unmask)]).toEqual([
    undefined,
    'EBUSY',
  ])
  raise()
  signalled()
  vmm.write(unmask, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0))
  expect([signalled(), signalled(unmask)]).toEqual([1, 0])
})
test('a line asserted before anybody listened is told at once', () => {
  const { set, event, signalled, raise } = withLine()
  raise()
  set(DATA_EVENTFD | ACTION_TRIGGER, event)
  expect(signalled()).toBe(1)
})
test('Interrupt Disable silences it, whatever is asserted', () => {
  const { set, event, signalled, raise, config } = withLine()
  set(DATA_EVENTFD | ACTION_TRIGGER, event)
  config.write(0x04, 2, 0x0400)
  raise()
  expect(signalled()).toBe(0)
  config.write(0x04, 2, 0)
  expect(signalled()).toBe(1)
})
test('masking, and taking it away', () => {
  const { set, event, signalled, raise } = withLine()
  expect(set(DATA_NONE | ACTION_UNMASK)).toBe('EINVAL')
  set(DATA_EVENTFD | ACTION_TRIGGER, event)
  set(DATA_NONE | ACTION_MASK)
  raise()
  expect(signalled()).toBe(0)
  expect([set(DATA_NONE | ACTION_TRIGGER, undefined, 0), set(DATA_NONE | ACTION_TRIGGER)]).toEqual([
    undefined,
    'EINVAL',
  ])
})
test('a function whose line tells nothing has none, and the hardware keeps it down', () => {
  const model = new Model({ pin: 1, msi: 0x0080 })
  put(model.config, 0, 4, 0x1572_8086)
  const { open, vmm, fn } = pciWorld({ '00:01.0': model })
  const fd = open()
  const { read } = configAccess(vmm, fd)
  const down = (): number => fn('00:01.0').readConfig(0x04, 2) & 0x400
  expect([read(0x3d, 1), vmm.ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, { index: 0 }).count, down()]).toEqual([0, 0, 0x400])
  const event = new Uint8Array(Int32Array.of(vmm.eventfd()).buffer)
  vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: DATA_EVENTFD | ACTION_TRIGGER, index: 1, count: 1 }, event)
  vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: DATA_NONE | ACTION_TRIGGER, index: 1, count: 0 })
  expect(down()).toBe(0x400)
})
test('with nointxmask the interrupt controller masks: COMMAND is left alone', () => {
  const model = new Model({ pin: 1 })
  const { open, vmm, fn, host } = pciWorld({ '00:01.0': model })
  host.get(Sysfs).write('/sys/module/vfio_pci/parameters/nointxmask', 'Y')
  host.get(Drivers).unbind('vfio-pci', fn('00:01.0'))
  host.get(Drivers).bind('vfio-pci', fn('00:01.0'))
  const fd = open()
  const event = vmm.eventfd()
  const data = new Uint8Array(Int32Array.of(event).buffer)
  vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: DATA_EVENTFD | ACTION_TRIGGER, index: 0, count: 1 }, data)
  model.fn?.interrupts.setIntx(true)
  const count = new Uint8Array(8)
  expect([vmm.read(event, count), count[0], fn('00:01.0').readConfig(0x04, 2) & 0x400]).toEqual([8, 1, 0])
})
