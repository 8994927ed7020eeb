import { Interrupts } from '@ioasis/core'
import { VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { AT, type ModelOptions, openedWorld } from './world.test-kit.ts'

const { DATA_NONE, DATA_EVENTFD, ACTION_TRIGGER } = VFIO_IRQ_SET

function withVectors(options: ModelOptions, index: number) {
  const world = openedWorld(options)
  const { vmm, fd, config } = world
  config.write(0x04, 2, 6)
  const set = (start: number, ...fds: number[]): string | undefined => {
    const values = { flags: DATA_EVENTFD | ACTION_TRIGGER, index, start, count: fds.length }
    return vmm.attempt(fd, VFIO_DEVICE_SET_IRQS, values, new Uint8Array(Int32Array.from(fds).buffer)).errno
  }
  const stop = (): void => void vmm.ioctl(fd, VFIO_DEVICE_SET_IRQS, { flags: DATA_NONE | ACTION_TRIGGER, index })
  const signalled = (event: number): number => {
    const into = new Uint8Array(8)
    try {
      vmm.read(event, into)
    } catch {
      return 0
    }
    return into[0] ?? 0
  }
  return { ...world, set, stop, signalled }
}

test('MSI: what the function raises reaches the event, as many vectors as were asked for', () => {
  const { set, signalled, vmm, model, fn } = withVectors({ msi: 0x0084 }, 1)
  const events = [vmm.eventfd(), vmm.eventfd()] as const
  expect(set(0, ...events)).toBeUndefined()
  expect((fn('00:01.0').readConfig(AT.msi + 2, 2) & 0x70) >> 4).toBe(1)
  model.fn?.interrupts.raise(1)
  expect(events.map(signalled)).toEqual([0, 1])
})
test('MSI-X: a vector may come later, and one may go', () => {
  const { set, signalled, vmm, model } = withVectors({ msix: 8 }, 2)
  const [low, high] = [vmm.eventfd(), vmm.eventfd()]
  set(0, low)
  set(6, high)
  for (const n of [0, 6]) model.fn?.interrupts.raise(n)
  expect([signalled(low), signalled(high)]).toEqual([1, 1])
  set(0, -1)
  model.fn?.interrupts.raise(0)
  expect(signalled(low)).toBe(0)
})
test('they survive a reset, and memory being off while they are set', () => {
  const { set, signalled, vmm, fd, model, config } = withVectors({ msix: 4, express: 'flr' }, 2)
  config.write(0x04, 2, 4)
  const event = vmm.eventfd()
  set(0, event)
  expect(config.read(0x04, 2)).toBe(4)
  vmm.ioctl(fd, VFIO_DEVICE_RESET)
  model.fn?.interrupts.raise(0)
  expect(signalled(event)).toBe(1)
})
test('no vectors are ERANGE; when they stop, the host has them back', () => {
  const { set, stop, vmm, host, fn } = withVectors({ msi: 0x0084 }, 1)
  expect(set(0)).toBe('ERANGE')
  set(0, vmm.eventfd())
  stop()
  expect(fn('00:01.0').readConfig(AT.msi + 2, 2) & 1).toBe(0)
  expect((host.get(Interrupts) as unknown as { allocated: number }).allocated).toBe(0)
})
test('one bad descriptor among several connects none', () => {
  const { set, signalled, vmm, model } = withVectors({ msix: 4 }, 2)
  const event = vmm.eventfd()
  expect(set(0, event, 99)).toBe('EBADF')
  model.fn?.interrupts.raise(0)
  expect(signalled(event)).toBe(0)
})
test('MSI mask bits are clear for vectors with an event alone, and all clear in the end', () => {
  const { set, stop, vmm, fn, config } = withVectors({ msi: 0x0184 }, 1)
  const mask = (): number => fn('00:01.0').readConfig(AT.msi + 0x10, 4)
  config.write(AT.msi + 0x10, 4, 0xffff_ffff)
  expect(mask()).toBe(0xf)
  const event = vmm.eventfd()
  set(0, event, event, -1)
  expect(mask()).toBe(0xc)
  set(0, -1)
  expect(mask()).toBe(0xd)
  stop()
  expect(mask()).toBe(0)
})
test('MSI for three has three, although the hardware takes four; what is beyond is refused before its descriptor is looked at', () => {
  const { set, stop, vmm, host, fn } = withVectors({ msi: 0x0084 }, 1)
  expect(set(0, vmm.eventfd(), vmm.eventfd(), vmm.eventfd())).toBeUndefined()
  expect((fn('00:01.0').readConfig(AT.msi + 2, 2) & 0x70) >> 4).toBe(2)
  expect([set(3, vmm.eventfd()), set(3, 999), set(3, -1), set(1, 999)]).toEqual([
    'EINVAL',
    'EINVAL',
    undefined,
    'EBADF',
  ])
  stop()
  expect((host.get(Interrupts) as unknown as { allocated: number }).allocated).toBe(0)
})
