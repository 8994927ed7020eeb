import { VFIO_DEVICE_FEATURE, VFIO_DEVICE_GET_INFO } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { AT, type ModelOptions, openedWorld } from './world.test-kit.ts'

function opened(options: ModelOptions = { pm: 8 }) {
  const world = openedWorld(options)
  const set = (feature: number, data = new Uint8Array(0)): string | undefined =>
    world.vmm.attempt(world.fd, VFIO_DEVICE_FEATURE, { flags: 0x20000 | feature }, data).errno
  return { ...world, set }
}

test('the device sleeps after the call that lets it, and every touch wakes it', () => {
  const { set, fn, vmm, fd, config } = opened()
  expect(set(3)).toBeUndefined()
  expect(fn('00:01.0').powerState).toBe(3)
  expect(config.read(AT.pm + 4, 2) & 3).toBe(0)
  expect(fn('00:01.0').powerState).toBe(3)
  vmm.ioctl(fd, VFIO_DEVICE_GET_INFO)
  expect([set(3), set(5), fn('00:01.0').powerState]).toEqual(['EINVAL', undefined, 0])
})
test('with an event the first touch ends the sleep and tells of it', () => {
  const { set, fn, vmm, config } = opened()
  const event = vmm.eventfd()
  expect(set(4, new Uint8Array(Int32Array.of(event, 0).buffer))).toBeUndefined()
  config.read(0, 4)
  expect([fn('00:01.0').powerState, vmm.read(event, new Uint8Array(8))]).toEqual([0, 8])
})
test('a mapped BAR is SIGBUS while the device may sleep', () => {
  const { set, vmm, fd, config } = opened()
  config.write(0x04, 2, 2)
  const uva = vmm.mmap({ fd, bytes: 0x1000 })
  set(3)
  expect(vmm.memRead(uva, 4)).toBe('SIGBUS')
  set(5)
  expect(vmm.memRead(uva, 4)).toBe(0n)
})
const fds = (fd: number) => new Uint8Array(Int32Array.of(fd, 0).buffer)

test('a wake-up event must be one', () => {
  const { set, vmm } = opened()
  expect([set(4, fds(-1)), set(4, fds(99)), set(4, fds(vmm.memfd(4096)))]).toEqual(['EINVAL', 'EBADF', 'EINVAL'])
})
test('a token is for functions with virtual ones', () => {
  expect(opened().set(0, new Uint8Array(16))).toBe('ENOTTY')
})
