import { VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_RESET } from '@ioasis/uapi'
import { HypervisorHooks, type Plugin } from '@ioasis/core'
import { expect, test } from 'vitest'
import { DeviceFile } from './device-file.ts'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

function parked() {
  const world = vfioWorld()
  const driver = world.add('00:01.0')
  const file = world.vmm.open('/dev/vfio/devices/vfio0')
  const spaces = new SpaceFile()
  return { ...world, driver, file, spaces, iommufd: world.vmm.adopt(spaces) }
}

test('before it is bound every call, known or not, is EINVAL, and the driver hears of none', () => {
  const { vmm, file, driver } = parked()
  for (const number of [VFIO_DEVICE_GET_INFO.number, VFIO_DEVICE_RESET.number, 0x1234]) {
    expect(() => vmm.ioctl(file, number, 0n)).toThrow('EINVAL')
  }
  expect(() => vmm.pread(file, 0, new Uint8Array(4))).toThrow('EINVAL')
  expect(() => vmm.pwrite(file, 0, new Uint8Array(4))).toThrow('EINVAL')
  expect(() => vmm.mmap({ fd: file, bytes: 4096 })).toThrow('EINVAL')
  expect(driver.log).toEqual([])
})
test('bound, its calls reach the driver, which is woken before each and may sleep after', () => {
  const { vmm, file, driver, iommufd } = parked()
  vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd })
  vmm.ioctl(file, VFIO_DEVICE_RESET)
  expect(driver.log).toEqual(['open', 'wake', 'reset', 'idle'])
  const into = new Uint8Array(2)
  expect([vmm.pread(file, 0, into), into]).toEqual([2, Uint8Array.of(0x5a, 0x5a)])
})
test('a refused call lets the driver sleep all the same, and a number nobody knows is ENOTTY', () => {
  const { vmm, file, driver, iommufd } = parked()
  vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd })
  expect(() => vmm.ioctl(file, 0x1234, 0n)).toThrow('ENOTTY')
  expect(driver.log.at(-1)).toBe('idle')
})
test('closing it closes the driver, then unbinds', () => {
  const { vmm, file, driver, spaces, iommufd } = parked()
  vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd })
  vmm.close(file)
  expect([driver.log.at(-1), spaces.log.at(-1)]).toEqual(['close', 'unbind'])
})
test('a kernel without nodes for devices does not know how to bind one', () => {
  const { add, vfio, vmm } = vfioWorld({ kernel: { cdev: false } })
  add('00:01.0')
  const [device] = vfio.devices
  if (!device) throw new Error('no device')
  const file = vmm.adopt(new DeviceFile(device))
  expect(() => vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD.number, 0n)).toThrow('ENOTTY')
})
test('a machine that was told of its file is the driver’s to know, and stays as long as the device is open', () => {
  const log: string[] = []
  const vm = {}
  const keep = (told: object): (() => void) | undefined => {
    log.push(told === vm ? 'keep' : 'another')
    return told === vm ? () => void log.push('let go') : undefined
  }
  const hypervisor: Plugin = {
    name: 'hypervisor',
    contract: 1,
    provides: [HypervisorHooks],
    setup: (host) => host.provide(HypervisorHooks, { keep }),
  }
  const { add, vmm } = vfioWorld({ plugins: [hypervisor] })
  const driver = add('00:01.0')
  const open = (given: object | undefined): number => {
    const fd = vmm.open('/dev/vfio/devices/vfio0')
    ;(vmm.fds.get(fd) as DeviceFile).assigned.setVm(given)
    vmm.ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: vmm.adopt(new SpaceFile()) })
    return fd
  }
  const fd = open(vm)
  expect([driver.use?.vm, log]).toEqual([vm, ['keep']])
  vmm.close(fd)
  expect(log).toEqual(['keep', 'let go'])
  vmm.close(open({}))
  expect([driver.use?.vm, log.at(-1)]).toEqual([undefined, 'another'])
})
test('a hypervisor learns what the IOMMU says, before the device is bound already', () => {
  const { vfio } = vfioWorld({ caps: { enforcesCoherency: true } })
  expect(vfio.devices).toEqual([])
  const coherent = vfioWorld({ caps: { enforcesCoherency: true } })
  coherent.add('00:01.0')
  coherent.add('a-mediated-device')
  const answers = coherent.vfio.devices.map((device) => new DeviceFile(device).assigned.enforcedCoherent)
  expect(answers).toEqual([true, false])
})
