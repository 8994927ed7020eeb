import { expect, test } from 'vitest'
import { DriverCore } from '../driver/binding.ts'
import { REMOVED } from '../driver/completion.ts'
import { SysfsTree } from '../sysfs.ts'
import { testBus } from './pci-models.test-kit.ts'
import { PciSysfs } from './pci-sysfs.ts'
import { physical } from './sriov.test-kit.ts'

const PF = '/sys/bus/pci/devices/0000:01:00.0'
const VF = '/sys/bus/pci/devices/0000:01:10.0'

function bench() {
  const bus = testBus()
  const sysfs = new SysfsTree()
  const drivers = new DriverCore(bus.pci, { use: () => {}, unuse: () => {} })
  new PciSysfs(sysfs, drivers).start(bus.pci)
  const fn = physical(bus)
  drivers.start()
  const asked: number[] = []
  const sriovConfigure = (_fn: typeof fn, count: number): void => {
    asked.push(count)
    if (count > 0) fn.sriov?.enable(count)
    else fn.sriov?.disable((virtfn) => drivers.unplug(virtfn))
  }
  const driver = { name: 'able', ids: [{}], probe: () => {}, remove: () => REMOVED }
  return {
    ...bus,
    sysfs,
    drivers,
    fn,
    asked,
    register: () => drivers.register({ ...driver, ids: [{ device: 0x11e8 }], sriovConfigure }),
  }
}

test('tells what the capability says', () => {
  const { sysfs } = bench()
  const read = (name: string): string => sysfs.read(`${PF}/${name}`).trim()
  expect(
    ['totalvfs', 'numvfs', 'offset', 'stride', 'vf_device', 'drivers_autoprobe'].map((n) => read(`sriov_${n}`)),
  ).toEqual(['8', '0', '128', '2', '10ca', '1'])
  expect(sysfs.read(`${PF}/resource`).split('\n')[7]).toBe('0x00000000e0000000 0x00000000e001ffff 0x000000000014220c')
})
test('switches virtual functions on and off through the driver; links lead both ways', () => {
  const { sysfs, register, asked } = bench()
  register()
  sysfs.write(`${PF}/sriov_numvfs`, '1\n')
  expect([sysfs.resolve(`${PF}/virtfn0`), sysfs.resolve(`${VF}/physfn`)]).toEqual([
    sysfs.resolve(VF),
    sysfs.resolve(PF),
  ])
  expect([sysfs.read(`${VF}/vendor`), sysfs.read(`${VF}/device`)]).toEqual(['0x1234\n', '0x10ca\n'])
  expect([sysfs.exists(`${PF}/virtfn1`), sysfs.exists(`${VF}/remove`)]).toEqual([false, false])
  expect(() => sysfs.write(`${PF}/sriov_numvfs`, '2')).toThrow('EBUSY')
  sysfs.write(`${PF}/sriov_numvfs`, '1')
  sysfs.write(`${PF}/sriov_numvfs`, '0')
  expect([asked, sysfs.exists(VF), sysfs.read(`${PF}/sriov_numvfs`)]).toEqual([[1, 0], false, '0\n'])
})
test.each([
  ['x', 'EINVAL'],
  ['9', 'ERANGE'],
  ['65536', 'EINVAL'],
  ['1', 'ENOENT'],
])('refuses to switch on "%s" without a driver that can: %s', (text, errno) => {
  expect(() => bench().sysfs.write(`${PF}/sriov_numvfs`, text)).toThrow(errno)
})
test('whether drivers are tried is a switch', () => {
  const { sysfs, fn } = bench()
  sysfs.write(`${PF}/sriov_drivers_autoprobe`, 'n')
  expect(fn.sriov?.driversAutoprobe).toBe(false)
  expect(() => sysfs.write(`${PF}/sriov_drivers_autoprobe`, '?')).toThrow('EINVAL')
})
test('vectors of a virtual function cannot be shared out', () => {
  const { sysfs, fn } = bench()
  fn.sriov?.enable(1)
  expect(() => sysfs.write(`${VF}/sriov_vf_msix_count`, '4')).toThrow('EOPNOTSUPP')
  expect(() => sysfs.write(`${VF}/sriov_vf_msix_count`, '-4')).toThrow('EINVAL')
})
