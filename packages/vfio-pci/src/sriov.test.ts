import { Drivers, type FunctionModel, Sysfs, type SysfsTree, type VirtualFunctions } from '@ioasis/core'
import {
  VFIO_DEVICE_BIND_FLAG_TOKEN,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_FLAG,
  VFIO_DEVICE_GET_INFO,
  VFIO_FEATURE,
} from '@ioasis/uapi'
import { describe, expect, test } from 'vitest'
import { put } from './config/permission.ts'
import { AT, configAccess, Model, pciWorld, type World } from './world.test-kit.ts'

const SRIOV_AT = 0x160
const PF = '/sys/bus/pci/devices/0000:01:00.0'
const NUMVFS = `${PF}/sriov_numvfs`
const ENABLE = '/sys/module/vfio_pci/parameters/enable_sriov'
const TOKEN = Uint8Array.from({ length: 16 }, (_, i) => i + 1)

/** A physical function with four virtual ones. */
class Physical extends Model {
  readonly virtualFunctions: VirtualFunctions = {
    bars: [{ index: 0, size: 0x1000, space: 'memory', wide: false, prefetchable: false }],
    make: (): FunctionModel => {
      const made = new Model({ express: 'flr', bars: [] })
      made.config.fill(0xff, 0, 4)
      put(made.config, 4, 2, 0)
      return { name: 'virtual', config: made.config, bars: this.virtualFunctions.bars }
    },
  }
  constructor() {
    super({ express: 'flr', pm: 0 })
    const { config } = this
    put(config, AT.dsn, 4, 0x1601_0003)
    put(config, SRIOV_AT, 4, 0x0001_0010)
    put(config, SRIOV_AT + 0x0c, 4, 0x0004_0004)
    put(config, SRIOV_AT + 0x14, 4, 0x0002_0080)
    put(config, SRIOV_AT + 0x1a, 2, 0x10ca)
    put(config, SRIOV_AT + 0x1c, 4, 1)
    put(config, SRIOV_AT + 0x24, 4, 0xfe00_0000)
  }
}

function bench(): World & { readonly sysfs: SysfsTree } {
  const world = pciWorld({ '00:03.0': new Model({ bridge: true }), '01:00.0': new Physical() })
  const bridge = world.fn('00:03.0')
  bridge.writeConfig(0x20, 4, 0)
  bridge.writeConfig(0x24, 4, 0)
  return { ...world, sysfs: world.host.get(Sysfs) }
}
/** With the parameter on, and the physical function opened. */
function opened(): ReturnType<typeof bench> & { readonly pf: number } {
  const world = bench()
  world.sysfs.write(ENABLE, 'Y')
  return { ...world, pf: world.open() }
}
const setToken = ({ vmm }: World, pf: number, token: Uint8Array): void => {
  const flags = VFIO_DEVICE_FEATURE_FLAG.SET | VFIO_FEATURE.PCI_VF_TOKEN
  vmm.ioctl(pf, VFIO_DEVICE_FEATURE, { flags }, token)
}
/** Opens the first virtual function and binds it with a token. @returns its descriptor, or why not */
function bindVirtual(world: World, token: Uint8Array | undefined): number | string {
  const { vmm } = world
  const fd = vmm.open('/dev/vfio/devices/vfio1')
  const flags = token ? VFIO_DEVICE_BIND_FLAG_TOKEN : 0
  const token_uuid_ptr = token ? vmm.put(token) : 0n
  const iommufd = vmm.adopt(world.space())
  const { errno } = vmm.attempt(fd, VFIO_DEVICE_BIND_IOMMUFD, { iommufd, flags, token_uuid_ptr })
  if (errno) vmm.close(fd)
  return errno ?? fd
}

describe('sriov_numvfs', () => {
  test('is refused until the parameter allows it', () => {
    const { sysfs, fn } = bench()
    expect(() => sysfs.write(NUMVFS, '1')).toThrow('ENOENT')
    sysfs.write(ENABLE, 'Y')
    sysfs.write(NUMVFS, '1')
    expect([sysfs.read(ENABLE), fn('01:10.0').virtfn?.index]).toEqual(['Y\n', 0])
  })
  test('makes functions that this driver takes, while the physical one stays awake', () => {
    const { sysfs, host, fn } = bench()
    sysfs.write(ENABLE, 'Y')
    expect(fn('01:00.0').powerState).toBe(3)
    sysfs.write(NUMVFS, '2')
    const drivers = host.get(Drivers)
    expect(['01:10.0', '01:10.2'].map((at) => drivers.driverOf(fn(at))?.name)).toEqual(['vfio-pci', 'vfio-pci'])
    expect([drivers.overrideOf(fn('01:10.0')), fn('01:00.0').powerState]).toEqual(['vfio-pci', 0])
    sysfs.write(NUMVFS, '0')
    expect(fn('01:00.0').powerState).toBe(3)
  })
  test('0 waits for who uses a virtual function', () => {
    const world = opened()
    setToken(world, world.pf, TOKEN)
    world.sysfs.write(NUMVFS, '1')
    const vf = bindVirtual(world, TOKEN) as number
    world.sysfs.write(NUMVFS, '0')
    expect([world.sysfs.read(NUMVFS), world.fn('01:10.0').present]).toEqual(['1\n', true])
    world.vmm.close(vf)
    expect(world.sysfs.read(NUMVFS)).toBe('0\n')
  })
})

describe('the token', () => {
  test('is asked of virtual functions', () => {
    const world = opened()
    setToken(world, world.pf, TOKEN)
    world.sysfs.write(NUMVFS, '1')
    expect([bindVirtual(world, undefined), bindVirtual(world, new Uint8Array(16))]).toEqual(['EACCES', 'EACCES'])
    expect(bindVirtual(world, TOKEN)).toBeTypeOf('number')
  })
  test('is asked of the physical function while a virtual one is used; else it sets it', () => {
    const world = opened()
    setToken(world, world.pf, TOKEN)
    world.sysfs.write(NUMVFS, '1')
    const vf = bindVirtual(world, TOKEN) as number
    expect(() => world.device('01:00.0').checkToken(undefined)).toThrow('EACCES')
    expect(() => world.device('01:00.0').checkToken(new Uint8Array(16))).toThrow('EACCES')
    world.device('01:00.0').checkToken(TOKEN)
    world.vmm.close(vf)
    world.device('01:00.0').checkToken(new Uint8Array(16).fill(7))
    expect(bindVirtual(world, TOKEN)).toBe('EACCES')
  })
})

test('a virtual function shows the ids it should have, memory on, no line, and a reset of its own', () => {
  const world = opened()
  setToken(world, world.pf, TOKEN)
  world.sysfs.write(NUMVFS, '1')
  const fd = bindVirtual(world, TOKEN) as number
  const { read, write } = configAccess(world.vmm, fd)
  expect([read(0, 4), read(4, 2) & 2, read(0x3d, 1)]).toEqual([0x10ca_1234, 2, 0])
  write(4, 2, 0)
  write(0x10, 4, 0xffff_ffff)
  expect([read(4, 2) & 2, read(0x10, 4)]).toEqual([0, 0xffff_f000])
  expect(world.vmm.ioctl(fd, VFIO_DEVICE_GET_INFO, {}).flags).toBe(3)
  expect(world.vmm.pread(fd, 0n, new Uint8Array(4))).toBe(4)
})
test('a driver that gives the physical function back first takes its virtual ones away', () => {
  const { sysfs, host, fn } = bench()
  sysfs.write(ENABLE, 'Y')
  sysfs.write(NUMVFS, '1')
  const virtual = fn('01:10.0')
  expect(host.get(Drivers).unbind('vfio-pci', fn('01:00.0')).done).toBe(true)
  expect([virtual.present, sysfs.read(NUMVFS)]).toEqual([false, '0\n'])
  fn('01:00.0').sriov?.enable(1)
  expect(() => host.get(Drivers).bind('vfio-pci', fn('01:00.0'))).toThrow('EBUSY')
})
