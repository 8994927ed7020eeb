import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_GROUP_GET_STATUS,
} from '@ioasis/uapi'
import { UapiError } from '@ioasis/core'
import { expect, test } from 'vitest'
import { type ListDriver, SpaceFile, vfioWorld } from './world.test-kit.ts'

function opened(target = '00:01.0') {
  const world = vfioWorld()
  const driver: ListDriver = world.add(target)
  const spaces = new SpaceFile()
  return { ...world, driver, spaces, iommufd: world.vmm.adopt(spaces), file: world.vmm.open('/dev/vfio/devices/vfio0') }
}
function bound(target?: string) {
  const all = opened(target)
  all.vmm.ioctl(all.file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: all.iommufd })
  return all
}

test('binding answers the object id', () => {
  const { vmm, file, iommufd, spaces } = opened()
  expect(vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }).out_devid).toBe(1)
  expect(spaces.log).toEqual(['bind 0000:00:01.0'])
})
test.each([
  ['a size below 16', { argsz: 12 }, 'EINVAL'],
  ['an unknown flag', { flags: 2 }, 'EINVAL'],
  ['a negative descriptor', { iommufd: -1 }, 'EINVAL'],
  ['a descriptor of nothing', { iommufd: 99 }, 'EBADF'],
  ['a token where there are none', { flags: 1 }, 'EINVAL'],
])('binding refuses %s', (_what, wrong, errno) => {
  const { vmm, file, iommufd } = opened()
  expect(vmm.attempt(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd, ...wrong }).errno).toBe(errno)
  expect(vmm.attempt(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }).errno).toBeUndefined()
})
test('a tail that is not zero is E2BIG, a file of another kind EBADFD', () => {
  const { vmm, file, iommufd } = opened()
  expect(vmm.attempt(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }, Uint8Array.of(1)).errno).toBe('E2BIG')
  expect(vmm.attempt(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: vmm.eventfd() }).errno).toBe('EBADFD')
})
test('a second file of the device is parked while the first is bound', () => {
  const { vmm, iommufd, file } = bound()
  const second = vmm.open('/dev/vfio/devices/vfio0')
  expect(vmm.attempt(second, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }).errno).toBe('EINVAL')
  vmm.close(file)
  expect(vmm.attempt(second, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }).errno).toBeUndefined()
})
test('an id that cannot be written back is undone', () => {
  const { vmm, file, iommufd, driver, spaces } = opened()
  const bytes = new Uint8Array(24)
  new DataView(bytes.buffer).setUint32(0, 16, true)
  new DataView(bytes.buffer).setUint32(8, iommufd, true)
  const uva = vmm.mmap({ bytes: 4096 })
  vmm.poke(uva, bytes)
  vmm.process.addressSpace.protect(uva, 4096, { read: true, write: false })
  expect(() => vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD.number, uva)).toThrow('EFAULT')
  expect([driver.log, spaces.log.at(-1)]).toEqual([['open', 'close'], 'unbind'])
  expect(vmm.attempt(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }).errno).toBeUndefined()
})
test('a driver that cannot open leaves nothing bound, and the group free', () => {
  const { vmm, file, iommufd, driver, spaces, vfio } = opened()
  driver.refuses = new UapiError('EIO', 'open')
  expect(vmm.attempt(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }).errno).toBe('EIO')
  expect(spaces.log).toEqual(['bind 0000:00:01.0', 'unbind'])
  expect(vmm.open(`/dev/vfio/${vfio.devices[0]?.group.id}`)).toBeGreaterThan(0)
})
test('the group cannot be opened while a device is bound, nor a device be bound while the group is open', () => {
  const { vmm, file, iommufd, vfio } = opened()
  const path = `/dev/vfio/${vfio.devices[0]?.group.id}`
  const group = vmm.open(path)
  expect(vmm.attempt(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd }).errno).toBe('EBUSY')
  expect(vmm.ioctl(group, VFIO_GROUP_GET_STATUS).flags).toBe(1)
  vmm.close(group)
  vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd })
  expect(() => vmm.open(path)).toThrow('EBUSY')
})

test('attaching answers what it is attached to; detaching twice does nothing', () => {
  const { vmm, file, spaces } = bound()
  expect(vmm.ioctl(file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: 7, argsz: 12 }).pt_id).toBe(8)
  expect(vmm.attempt(file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: 9 }).errno).toBe('ENOENT')
  expect(vmm.attempt(file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: 7, flags: 2 }).errno).toBe('EINVAL')
  vmm.ioctl(file, VFIO_DEVICE_DETACH_IOMMUFD_PT, {})
  vmm.ioctl(file, VFIO_DEVICE_DETACH_IOMMUFD_PT, {})
  expect(spaces.log).toEqual(['bind 0000:00:01.0', 'attach', 'detach'])
})
test('a PASID needs its member, and a number that is an int', () => {
  const { vmm, file, spaces } = bound()
  const attempt = (values: object): string | undefined =>
    vmm.attempt(file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: 7, flags: 1, ...values }).errno
  expect([attempt({ argsz: 12 }), attempt({ pasid: 0x8000_0000 }), attempt({ pasid: 5 })]).toEqual([
    'EINVAL',
    'ENOSPC',
    undefined,
  ])
  vmm.ioctl(file, VFIO_DEVICE_DETACH_IOMMUFD_PT, { flags: 1, pasid: 6 })
  vmm.close(file)
  expect(spaces.log.slice(1)).toEqual(['attach 5', 'detach 5', 'unbind'])
})
test('an emulated device is bound as an access and has no PASIDs', () => {
  const { vmm, file, spaces } = bound('mediated')
  expect(vmm.attempt(file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: 7, flags: 1, pasid: 1 }).errno).toBe('EOPNOTSUPP')
  vmm.ioctl(file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: 7 })
  vmm.close(file)
  expect(spaces.log).toEqual(['access mediated', 'attach', 'detach', 'unbind'])
})
