import { Clock, Sysfs } from '@ioasis/core'
import { VFIO_DEVICE_BIND_IOMMUFD } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { Container } from './container.ts'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

test('numbers are the lowest free ones, in the order of registration', () => {
  const { add, vfio } = vfioWorld()
  const [one, two] = [add('00:01.0'), add('00:02.0')]
  expect([one, two].map(({ registration }) => registration.index)).toEqual([0, 1])
  one.registration.remove()
  expect([add('00:02.1').registration.index, vfio.devices.map(({ name }) => name)]).toEqual([
    0,
    ['0000:00:02.1', '0000:00:02.0'],
  ])
})
test("nodes come with a device and go with it, the group's with its last one", () => {
  const { add, exists } = vfioWorld()
  const [one, two] = [add('00:02.0'), add('00:02.1')]
  const group = `/dev/vfio/${one.registration.group}`
  expect([exists('/dev/vfio/devices/vfio1'), exists(group)]).toEqual([true, true])
  two.registration.remove()
  expect([exists('/dev/vfio/devices/vfio1'), exists(group)]).toEqual([false, true])
  one.registration.remove()
  expect(exists(group)).toBe(false)
})
test('a kernel without cdevs has groups alone', () => {
  const { add, exists } = vfioWorld({ kernel: { cdev: false } })
  const { registration } = add('00:01.0')
  expect([exists('/dev/vfio/devices/vfio0'), exists(`/dev/vfio/${registration.group}`)]).toEqual([false, true])
})
test('an emulated device gets a group number that nobody has, and gives it back', () => {
  const { add, host } = vfioWorld()
  const { registration } = add('mediated')
  const name = `/sys/kernel/iommu_groups/${registration.group}/name`
  expect(host.get(Sysfs).read(name)).toBe('vfio-noiommu\n')
  registration.remove()
  expect([host.get(Sysfs).exists(name), add('another').registration.group]).toEqual([false, registration.group])
})
test('a function whose DMA is not coherent when it asks to be is refused', () => {
  const { add, vfio } = vfioWorld({ caps: { cacheCoherent: false } })
  expect(() => add('00:01.0')).toThrow('EINVAL')
  expect(vfio.devices).toEqual([])
})
test('who has a device that is asked back is asked again every 10 seconds, until he lets go', () => {
  const { add, host, vmm } = vfioWorld()
  const driver = add('00:01.0')
  const file = vmm.open('/dev/vfio/devices/vfio0')
  vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: vmm.adopt(new SpaceFile()) })
  driver.registration.remove()
  host.get(Clock).advance(25_000)
  expect(driver.log.slice(1)).toEqual(['request 0', 'request 1', 'request 2'])
  vmm.close(file)
  host.get(Clock).advance(25_000)
  expect(driver.log.slice(4)).toEqual(['close'])
})
test('tells the audit of groups that are owned and devices that are open', () => {
  const { add, vfio, vmm } = vfioWorld()
  add('00:01.0')
  vfio.groups[0]?.setContainer(vmm.caller, new Container([]))
  const counts = vfio.claims().map((claim) => claim.kind === 'count' && [claim.what, claim.actual, claim.expected])
  expect(counts).toEqual([
    ['VFIO groups owned', 1, 1],
    ['VFIO devices open', 0, 0],
  ])
})
