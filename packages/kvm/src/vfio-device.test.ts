import { Client, Processes } from '@ioasis/core'
import { mustBeSound } from '@ioasis/testkit'
import { expect, test } from 'vitest'
import {
  KVM_CREATE_DEVICE,
  KVM_CREATE_DEVICE_TEST,
  KVM_DEV_TYPE_VFIO,
  KVM_DEV_VFIO_FILE,
  KVM_DEV_VFIO_FILE_ADD as ADD,
  KVM_DEV_VFIO_FILE_DEL as DEL,
  KVM_GET_DEVICE_ATTR,
  KVM_HAS_DEVICE_ATTR,
  KVM_SET_DEVICE_ATTR,
} from './uapi.ts'
import { kvmWorld, setFile, vfioDevice, vfioFile } from './vm.test-kit.ts'

test('registers non-coherent DMA at the first file that is not coherent, and unregisters after the last', () => {
  const world = kvmWorld()
  const device = vfioDevice(world)
  const fds = [true, false, false].map((coherent) => world.vmm.adopt(vfioFile(coherent)))
  for (const fd of fds) expect(setFile(world, device, ADD, fd)).toBe('ok')
  expect(world.told).toEqual(['register'])
  mustBeSound(world.host)
  for (const fd of fds.toReversed()) expect(setFile(world, device, DEL, fd)).toBe('ok')
  expect(world.told).toEqual(['register', 'unregister'])
  world.host.close()
})

test('asks every file again when one joins', () => {
  const world = kvmWorld()
  const device = vfioDevice(world)
  const first = vfioFile(true)
  setFile(world, device, ADD, world.vmm.adopt(first))
  first.coherent = false
  expect(world.told).toEqual([])
  setFile(world, device, ADD, world.vmm.adopt(vfioFile(true)))
  expect(world.told).toEqual(['register'])
})

test('tells a file which VM has it, and keeps it open until it is taken out', () => {
  const world = kvmWorld()
  const device = vfioDevice(world)
  const file = vfioFile(true)
  const fd = world.vmm.adopt(file)
  setFile(world, device, ADD, fd)
  world.vmm.close(fd)
  expect([file.vm === undefined, file.released]).toEqual([false, false])
  world.vmm.close(device)
  expect([file.vm, file.released]).toEqual([undefined, true])
})

test('refuses what is no VFIO file, what is there already, and what is not there', () => {
  const world = kvmWorld()
  const device = vfioDevice(world)
  const fd = world.vmm.adopt(vfioFile(true))
  const same = world.vmm.dup(fd)
  expect(setFile(world, device, ADD, 999)).toBe('EBADF')
  expect(setFile(world, device, ADD, -1)).toBe('EBADF')
  expect(setFile(world, device, ADD, world.vm)).toBe('EINVAL')
  expect(setFile(world, device, ADD, fd)).toBe('ok')
  expect(setFile(world, device, ADD, same)).toBe('EEXIST')
  expect(setFile(world, device, DEL, world.vm)).toBe('ENOENT')
  expect(setFile(world, device, DEL, same)).toBe('ok')
  expect(setFile(world, device, DEL, fd)).toBe('ENOENT')
})

test('refuses unknown attributes before it looks at the descriptor, and has nothing to read', () => {
  const world = kvmWorld()
  const { vmm } = world
  const device = vfioDevice(world)
  const errno = (call: typeof KVM_SET_DEVICE_ATTR, group: number, attr: bigint): string =>
    vmm.attempt(device, call, { group, attr }).errno ?? 'ok'
  expect(errno(KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, 9n)).toBe('ENXIO')
  expect(errno(KVM_SET_DEVICE_ATTR, 2, ADD)).toBe('ENXIO')
  expect(errno(KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, ADD)).toBe('EFAULT')
  expect(errno(KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE, DEL)).toBe('ok')
  expect(errno(KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE, 3n)).toBe('ENXIO')
  expect(() => vmm.ioctl(device, KVM_GET_DEVICE_ATTR.number, 0n)).toThrow('EPERM')
})

test('a VM has one kvm-vfio device at a time; asking whether there could be one does not count', () => {
  const world = kvmWorld()
  const { vmm, vm } = world
  const make = (type: number, flags = 0): string => vmm.attempt(vm, KVM_CREATE_DEVICE, { type, flags }).errno ?? 'ok'
  const device = vfioDevice(world)
  expect(make(KVM_DEV_TYPE_VFIO)).toBe('EBUSY')
  expect(make(KVM_DEV_TYPE_VFIO, KVM_CREATE_DEVICE_TEST)).toBe('ok')
  expect(make(77)).toBe('ENODEV')
  vmm.close(device)
  expect(make(KVM_DEV_TYPE_VFIO)).toBe('ok')
})

test('only the process that made a VM may use it, a descriptor in another one answers EIO', () => {
  const world = kvmWorld()
  const device = vfioDevice(world)
  const child = world.vmm.fork()
  expect(child.attempt(device, KVM_HAS_DEVICE_ATTR, { group: KVM_DEV_VFIO_FILE, attr: ADD }).errno).toBe('EIO')
})

test('everything goes with the process, whatever it left open', () => {
  const world = kvmWorld()
  const file = vfioFile(false)
  setFile(world, vfioDevice(world), ADD, world.vmm.adopt(file))
  world.vmm.exit()
  expect(file.released).toBe(true)
  expect(world.told).toEqual(['register', 'unregister'])
  mustBeSound(world.host)
  expect(new Client(world.host, world.host.get(Processes).spawn()).open('/dev/kvm')).toBe(0)
})
