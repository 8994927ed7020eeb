import { describe, expect, test } from 'vitest'
import { DriverCore, type PciDriver } from './binding.ts'
import { REMOVED } from './completion.ts'
import { DriverSysfs } from './driver-sysfs.ts'
import { SysfsTree } from '../sysfs.ts'
import { PciSysfs } from '../pci/pci-sysfs.ts'
import { testBus, type TestBus } from '../pci/pci-models.test-kit.ts'

interface Bench extends TestBus {
  readonly sysfs: SysfsTree
  readonly drivers: DriverCore
}
function bench(): Bench {
  const bus = testBus()
  const sysfs = new SysfsTree()
  const drivers = new DriverCore(bus.pci, { use: () => {}, unuse: () => {} })
  new PciSysfs(sysfs, drivers).start(bus.pci)
  new DriverSysfs(sysfs, drivers, bus.pci).start()
  return { ...bus, sysfs, drivers }
}
const AT = '/sys/bus/pci/devices/0000:00:01.0'
const driver = (name: string, ids: PciDriver['ids'] = []): PciDriver => ({
  name,
  ids,
  probe: () => {},
  remove: () => REMOVED,
})

describe('a driver in sysfs', () => {
  test('is bound through driver_override, unbind and bind', () => {
    const { put, sysfs, drivers } = bench()
    put(0, 1, 0)
    drivers.register(driver('vfio-pci'))
    expect([sysfs.exists(`${AT}/driver`), sysfs.read(`${AT}/driver_override`)]).toEqual([false, '(null)\n'])
    expect(() => sysfs.write('/sys/bus/pci/drivers/vfio-pci/bind', '0000:00:01.0')).toThrow('ENODEV')
    sysfs.write(`${AT}/driver_override`, 'vfio-pci\n')
    sysfs.write('/sys/bus/pci/drivers_probe', '0000:00:01.0')
    expect(sysfs.resolve(`${AT}/driver`)).toBe('/sys/bus/pci/drivers/vfio-pci')
    expect(sysfs.list('/sys/bus/pci/drivers/vfio-pci')).toEqual([
      '0000:00:01.0',
      'bind',
      'new_id',
      'remove_id',
      'unbind',
    ])
    sysfs.write('/sys/bus/pci/drivers/vfio-pci/unbind', '0000:00:01.0\n')
    expect([sysfs.exists(`${AT}/driver`), sysfs.list('/sys/bus/pci/drivers/vfio-pci')[0]]).toEqual([false, 'bind'])
    sysfs.write('/sys/bus/pci/drivers/vfio-pci/bind', '0000:00:01.0')
    sysfs.write(`${AT}/driver_override`, '\n')
    expect([sysfs.exists(`${AT}/driver`), sysfs.read(`${AT}/driver_override`)]).toEqual([true, '(null)\n'])
  })
  test('takes ids that are added to it', () => {
    const { put, sysfs, drivers } = bench()
    const fn = put(0, 1, 0)
    drivers.start()
    drivers.register(driver('vfio-pci'))
    sysfs.write('/sys/bus/pci/drivers/vfio-pci/new_id', '1234 11e8 ffffffff ffffffff 0 0\n')
    expect(drivers.driverOf(fn)?.name).toBe('vfio-pci')
    sysfs.write('/sys/bus/pci/drivers/vfio-pci/remove_id', '1234 11e8 ffffffff ffffffff 0 0\n')
    expect(() => sysfs.write('/sys/bus/pci/drivers/vfio-pci/remove_id', '1234 11e8')).toThrow('ENODEV')
    expect(() => sysfs.write('/sys/bus/pci/drivers/vfio-pci/new_id', '1234')).toThrow('EINVAL')
  })
  test('has a directory while it is registered', () => {
    const { sysfs, drivers } = bench()
    drivers.register(driver('vfio-pci'))
    drivers.unregister('vfio-pci')
    expect([sysfs.list('/sys/bus/pci/drivers'), sysfs.exists('/sys/bus/pci/drivers_autoprobe')]).toEqual([[], true])
  })
})
