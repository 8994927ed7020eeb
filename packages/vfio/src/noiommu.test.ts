import { type Client, Sysfs, type SystemCalls, Tracer } from '@ioasis/core'
import {
  VFIO_CHECK_EXTENSION,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_EXTENSION,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_GROUP_UNSET_CONTAINER,
  VFIO_IOMMU_GET_INFO,
  VFIO_SET_IOMMU,
} from '@ioasis/uapi'
import { describe, expect, test } from 'vitest'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

const { VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_IOMMU, VFIO_NOIOMMU_IOMMU, VFIO_UNMAP_ALL } = VFIO_EXTENSION

function world() {
  const all = vfioWorld({ caps: 'none', kernel: { noiommu: true } })
  const { vmm } = all
  const join = (group: number, fd: number, by: Client = vmm): number =>
    by.ioctl(group, VFIO_GROUP_SET_CONTAINER, by.put(new Uint8Array(Int32Array.of(fd).buffer)))
  const device = (group: number, by: Client = vmm): number =>
    by.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, by.putText('0000:00:01.0'))
  const ask = (container: number, extension: number): number => vmm.ioctl(container, VFIO_CHECK_EXTENSION, extension)
  return { ...all, join, device, ask }
}
function opened() {
  const all = world()
  const driver = all.add('00:01.0')
  return { ...all, driver, group: all.vmm.open('/dev/vfio/noiommu-0'), container: all.vmm.open('/dev/vfio/vfio') }
}
/** The same program without the capability. */
function drop({ process }: SystemCalls): void {
  process.credentials = { uid: 1000, gid: 1000, capabilities: new Set() }
}

describe('a group', () => {
  test('is there as long as a driver has the function, with a node of its own kind and none for the device', () => {
    const { add, host, exists, fn } = world()
    const sysfs = host.get(Sysfs)
    const driver = add('00:01.0')
    const group = '/sys/kernel/iommu_groups/0'
    expect([exists('/dev/vfio/noiommu-0'), exists('/dev/vfio/0'), exists('/dev/vfio/devices/vfio0')]).toEqual([
      true,
      false,
      false,
    ])
    expect([sysfs.read(`${group}/name`), sysfs.read(`${group}/type`), sysfs.read(`${group}/reserved_regions`)]).toEqual(
      ['vfio-noiommu\n', 'unknown\n', ''],
    )
    expect(() => sysfs.write(`${group}/type`, 'identity')).toThrow('EINVAL')
    driver.registration.remove()
    expect([exists('/dev/vfio/noiommu-0'), sysfs.exists(group), fn('00:01.0').present]).toEqual([false, false, true])
  })
  test('is one for each function, even of one slot, and shares its numbers with emulated devices', () => {
    const { add, vfio } = world()
    for (const target of ['00:02.0', 'mediated', '00:02.1']) add(target)
    expect(vfio.groups.map(({ node, kind }) => [node, kind])).toEqual([
      ['noiommu-0', 'noiommu'],
      ['1', 'emulated'],
      ['noiommu-2', 'noiommu'],
    ])
  })
  test('is made when the mode is on, which root may switch', () => {
    const { add, host } = vfioWorld({ caps: 'none' })
    const mode = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode'
    expect(host.get(Sysfs).read(mode)).toBe('N\n')
    expect(() => add('00:01.0')).toThrow('EINVAL')
    host.get(Sysfs).write(mode, 'on')
    expect(add('00:01.0').registration.group).toBe(0)
  })
  test('is opened by the privileged alone, also when the node would let others in', () => {
    const { add, spawn } = world()
    add('00:01.0')
    const root = spawn({ capabilities: [] })
    expect(() => root.open('/dev/vfio/noiommu-0')).toThrow('EPERM')
  })
  test('outlives its device as an open file that says so', () => {
    const { driver, vmm, group, container, join } = opened()
    join(group, container)
    driver.registration.remove()
    expect(vmm.attempt(group, VFIO_GROUP_GET_STATUS).errno).toBe('ENODEV')
    expect(() => join(group, container)).toThrow('ENODEV')
    expect(() => vmm.ioctl(group, VFIO_GROUP_UNSET_CONTAINER)).toThrow('EINVAL')
    vmm.close(group)
  })
})

describe('its container', () => {
  test('offers this type and no other once it has joined', () => {
    const { vmm, group, container, join, ask } = opened()
    const types = (): readonly number[] =>
      [VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL, VFIO_NOIOMMU_IOMMU].map((type) => ask(container, type))
    expect(types()).toEqual([1, 1, 1, 1])
    expect(vmm.ioctl(group, VFIO_GROUP_GET_STATUS).flags).toBe(1)
    join(group, container)
    expect(types()).toEqual([0, 0, 0, 1])
    expect(() => vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)).toThrow('ENODEV')
    expect(vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU)).toBe(0)
    expect(vmm.attempt(container, VFIO_IOMMU_GET_INFO).errno).toBe('ENOTTY')
    expect(vmm.ioctl(group, VFIO_GROUP_GET_STATUS).flags).toBe(3)
  })
  test('takes no groups of the other kind, until it is empty', () => {
    const { add, vmm, group, container, join } = opened()
    add('mediated')
    const emulated = vmm.open('/dev/vfio/1')
    join(group, container)
    expect(() => join(emulated, container)).toThrow('EPERM')
    vmm.ioctl(group, VFIO_GROUP_UNSET_CONTAINER)
    join(emulated, container)
    expect(() => join(group, container)).toThrow('EPERM')
    expect(() => vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU)).toThrow('ENODEV')
  })
  test('needs the privilege at each step', () => {
    const { vmm, group, container, join, device } = opened()
    const { credentials } = vmm.process
    drop(vmm)
    expect(() => join(group, container)).toThrow('EPERM')
    vmm.process.credentials = credentials
    join(group, container)
    drop(vmm)
    expect(() => vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU)).toThrow('EPERM')
    vmm.process.credentials = credentials
    vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU)
    drop(vmm)
    expect(() => device(group)).toThrow('EPERM')
  })
  test('lets its devices be used as any others, but for binding them, and the kernel warns of it', () => {
    const { host, vfio, vmm, group, container, join, device, driver } = opened()
    const log: string[] = []
    host.get(Tracer).on('warned', ({ text }) => log.push(text))
    join(group, container)
    vmm.ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU)
    const fd = device(group)
    expect(vmm.pread(fd, 0, new Uint8Array(2))).toBe(2)
    expect(vmm.attempt(fd, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: vmm.adopt(new SpaceFile()) }).errno).toBe('EINVAL')
    vmm.close(fd)
    expect(driver.log).toEqual(['open', 'close'])
    const { name, pid } = vmm.process
    expect([vfio.tainted, log]).toEqual([
      true,
      [`list 0000:00:01.0: vfio-noiommu device opened by user (${name}:${pid})`],
    ])
  })
})

describe('a file in the place of its container', () => {
  test('holds nothing of the device', () => {
    const { vmm, group, join, device } = opened()
    const spaces = new SpaceFile({ ioas: undefined })
    join(group, vmm.adopt(spaces))
    vmm.close(device(group))
    expect(spaces.log).toEqual(['join without IOMMU'])
  })
  test('is refused to who brought an address space, or lacks the privilege', () => {
    const { vmm, group, join, device } = opened()
    const spaces = new SpaceFile()
    join(group, vmm.adopt(spaces))
    expect(() => device(group)).toThrow('EPERM')
    drop(vmm)
    expect(() => device(group)).toThrow('EPERM')
  })
})
