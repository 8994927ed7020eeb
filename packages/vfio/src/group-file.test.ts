import {
  VFIO_EXTENSION,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_GROUP_UNSET_CONTAINER,
  VFIO_SET_IOMMU,
} from '@ioasis/uapi'
import type { Client } from '@ioasis/core'
import { expect, test } from 'vitest'
import { SpaceFile, vfioWorld, type World } from './world.test-kit.ts'

const int = (vmm: Client, value: number): bigint => vmm.put(new Uint8Array(Int32Array.of(value).buffer))
const setContainer = (vmm: Client, group: number, fd: number): number =>
  vmm.ioctl(group, VFIO_GROUP_SET_CONTAINER, int(vmm, fd))
const deviceFd = (vmm: Client, group: number, name: string): number =>
  vmm.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, vmm.putText(name))
const path = ({ vfio }: World, i = 0): string => `/dev/vfio/${vfio.devices[i]?.group.id}`

function opened() {
  const world = vfioWorld()
  const driver = world.add('00:01.0')
  return { ...world, driver, group: world.vmm.open(path(world)) }
}
function inContainer() {
  const all = opened()
  const container = all.vmm.open('/dev/vfio/vfio')
  setContainer(all.vmm, all.group, container)
  all.vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_EXTENSION.VFIO_TYPE1v2_IOMMU)
  return { ...all, container }
}

test('a group is open once', () => {
  const world = opened()
  expect(() => world.vmm.open(path(world))).toThrow('EBUSY')
  world.vmm.close(world.group)
  expect(world.vmm.open(path(world))).toBe(world.group)
})
test('it is viable until somebody else uses its DMA', () => {
  const { vmm, group, fn, vfio } = opened()
  expect(vmm.ioctl(group, VFIO_GROUP_GET_STATUS).flags).toBe(1)
  vfio.devices[0]?.group.iommu?.use()
  expect(vmm.ioctl(group, VFIO_GROUP_GET_STATUS).flags).toBe(0)
  expect(() => setContainer(vmm, group, vmm.open('/dev/vfio/vfio'))).toThrow('EPERM')
  expect(fn('00:01.0').present).toBe(true)
})
test('a container is a container, or a file that can serve as one', () => {
  const { vmm, group } = opened()
  expect(() => setContainer(vmm, group, -1)).toThrow('EBADF')
  expect(() => setContainer(vmm, group, vmm.eventfd())).toThrow('EBADFD')
  expect(() => setContainer(vmm, group, vmm.adopt(new SpaceFile(false)))).toThrow('EBADFD')
  const spaces = new SpaceFile()
  setContainer(vmm, group, vmm.adopt(spaces))
  expect(() => setContainer(vmm, group, vmm.adopt(new SpaceFile()))).toThrow('EINVAL')
  expect(vmm.ioctl(group, VFIO_GROUP_GET_STATUS).flags).toBe(3)
  vmm.ioctl(group, VFIO_GROUP_UNSET_CONTAINER)
  expect(spaces.log).toEqual(['join', 'leave'])
})
test('a device needs a container with a back end, and its exact name', () => {
  const { vmm, group } = opened()
  expect(() => deviceFd(vmm, group, '0000:00:01.0')).toThrow('EINVAL')
  expect(() => deviceFd(vmm, group, '0000:00:02.0')).toThrow('ENODEV')
  setContainer(vmm, group, vmm.open('/dev/vfio/vfio'))
  expect(() => deviceFd(vmm, group, '0000:00:01.0')).toThrow('EINVAL')
})
test('its devices share one session, keep the group and the container, and close them at last', () => {
  const { vmm, group, container, driver, vfio } = inContainer()
  const [one, two] = [deviceFd(vmm, group, '0000:00:01.0'), deviceFd(vmm, group, '0000:00:01.0')]
  expect(() => vmm.ioctl(group, VFIO_GROUP_UNSET_CONTAINER)).toThrow('EBUSY')
  vmm.close(group)
  vmm.close(container)
  vmm.close(one)
  expect(() => vmm.open(`/dev/vfio/${vfio.devices[0]?.group.id}`)).toThrow('EBUSY')
  expect(driver.log).toEqual(['open'])
  vmm.close(two)
  expect([driver.log, vfio.devices[0]?.group.iommu?.owner]).toEqual([['open', 'close'], undefined])
})
test('without a free descriptor no device is opened, whatever else would stand in the way', () => {
  const { vmm, group, driver } = inContainer()
  const { limits } = vmm.process
  vmm.process.limits = { ...limits, nofile: 0 }
  expect(() => deviceFd(vmm, group, '0000:00:02.0')).toThrow('ENODEV')
  expect(() => deviceFd(vmm, group, '0000:00:01.0')).toThrow('EMFILE')
  expect(() => vmm.open('/dev/vfio/none')).toThrow('EMFILE')
  expect(driver.log).toEqual([])
  vmm.process.limits = limits
})
test('with a file as container a device is bound to it and attached to its address space', () => {
  const { vmm, group } = opened()
  const spaces = new SpaceFile()
  setContainer(vmm, group, vmm.adopt(spaces))
  const device = deviceFd(vmm, group, '0000:00:01.0')
  expect(spaces.log).toEqual(['join', 'bind 0000:00:01.0', 'attach'])
  vmm.ioctl(group, VFIO_GROUP_UNSET_CONTAINER)
  vmm.close(device)
  expect(spaces.log.slice(3)).toEqual(['leave', 'detach', 'unbind'])
})
test('an emulated device has a group of its own that no IOMMU knows', () => {
  const world = vfioWorld()
  world.add('mediated')
  const group = world.vfio.groups[0]
  expect([group?.iommu, group?.viable, group?.enforcedCoherent]).toEqual([undefined, true, false])
})
