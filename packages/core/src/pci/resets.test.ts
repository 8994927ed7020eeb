import { expect, test } from 'vitest'
import { DriverCore } from '../driver/binding.ts'
import { SysfsTree } from '../sysfs.ts'
import { AT, type ModelOptions, testBus } from './pci-models.test-kit.ts'
import { PciSysfs } from './pci-sysfs.ts'

const FLR = 0x1000_0000

function bench(options: ModelOptions = {}, behind = false) {
  const bus = testBus()
  if (behind) bus.put(0, 3, 0, { bridge: [1, 1], port: 4 })
  let resets = 0
  const fn = bus.put(behind ? 1 : 0, 1, 0, { ...options, reset: () => resets++ })
  return { ...bus, fn, resets: () => resets }
}

test.each<[readonly string[], ModelOptions]>([
  [['flr', 'pm'], { port: 0, deviceCapabilities: FLR, pm: [0, 0] }],
  [['af_flr', 'pm'], { advancedFeatures: true, pm: [0, 0] }],
  [['pm'], { pm: [0, 0] }],
  [[], { pm: [0, 8] }],
])('%j are what a function on a root bus can', (methods, options) => {
  const { pci, fn } = bench(options)
  expect(pci.resets.of(fn)).toEqual(methods)
})
test('the first function on a bus counts the bus among its methods; it works while it is alone', () => {
  const { pci, fn, put, resets } = bench({}, true)
  expect([pci.resets.of(fn), pci.resets.run(fn), resets()]).toEqual([['bus'], undefined, 1])
  const second = put(1, 2, 0)
  expect([pci.resets.of(fn), pci.resets.run(fn), pci.resets.of(second)]).toEqual([['bus'], 'ENOTTY', []])
})
test('a reset gives back what the kernel keeps', () => {
  const { pci, fn, resets } = bench({
    port: 0,
    deviceCapabilities: FLR,
    bars: [{ index: 0, size: 0x1000, at: 0xe000_0000 }],
  })
  fn.writeConfig(0x04, 2, 2)
  expect([pci.resets.reset(fn), resets(), fn.barAddress(0)]).toEqual([undefined, 1, 0xe000_0000])
})
test('waking resets only who is awake', () => {
  const { pci, fn } = bench({ pm: [0, 0] })
  fn.writeConfig(AT.pm + 4, 2, 3)
  expect([pci.resets.run(fn), pci.resets.reset(fn), fn.powerState]).toEqual(['EINVAL', undefined, 0])
})

test('reset_method chooses, and reset resets', () => {
  const { pci, fn, resets } = bench({ port: 0, deviceCapabilities: FLR, pm: [0, 0] })
  const sysfs = new SysfsTree()
  new PciSysfs(sysfs, new DriverCore(pci, { use: () => {}, unuse: () => {} })).start(pci)
  const at = `/sys/bus/pci/devices/${fn.name}`
  sysfs.write(`${at}/reset_method`, ' pm \n')
  expect(sysfs.read(`${at}/reset_method`)).toBe('pm\n')
  expect(() => sysfs.write(`${at}/reset_method`, 'bus')).toThrow('EINVAL')
  expect(() => sysfs.write(`${at}/reset_method`, 'hammer')).toThrow('EINVAL')
  sysfs.write(`${at}/reset`, '1\n')
  expect(resets()).toBe(1)
  expect(() => sysfs.write(`${at}/reset`, '2')).toThrow('EINVAL')
  sysfs.write(`${at}/reset_method`, '\n')
  expect(() => sysfs.write(`${at}/reset`, '1')).toThrow('ENOTTY')
  sysfs.write(`${at}/reset_method`, 'default')
  expect(sysfs.read(`${at}/reset_method`)).toBe('flr pm\n')
})
