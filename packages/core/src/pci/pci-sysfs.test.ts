import { describe, expect, test } from 'vitest'
import { DriverCore } from '../driver/binding.ts'
import { SysfsTree } from '../sysfs.ts'
import { PciSysfs } from './pci-sysfs.ts'
import { testBus, type TestBus } from './pci-models.test-kit.ts'

interface Bench extends TestBus {
  readonly sysfs: SysfsTree
}
function bench(): Bench {
  const bus = testBus()
  const sysfs = new SysfsTree()
  const drivers = new DriverCore(bus.pci, { use: () => {}, unuse: () => {} })
  new PciSysfs(sysfs, drivers).start(bus.pci)
  return { ...bus, sysfs }
}
const AT = '/sys/bus/pci/devices/0000:00:01.0'

describe('a function in sysfs', () => {
  test('comes and goes with the function, below its bridges', () => {
    const { put, pci, sysfs } = bench()
    const bridge = put(0, 3, 0, { bridge: [1, 1], port: 4 })
    const fn = put(1, 0, 0, { port: 0 })
    expect(sysfs.resolve('/sys/bus/pci/devices/0000:01:00.0')).toBe('/sys/devices/pci0000:00/0000:00:03.0/0000:01:00.0')
    pci.remove(fn)
    expect(sysfs.list('/sys/bus/pci/devices')).toEqual([bridge.name])
    expect(sysfs.read('/sys/bus/pci/devices/0000:00:03.0/secondary_bus_number')).toBe('1\n')
  })
  test('shows its ids, and its configuration space as it reads', () => {
    const { put, sysfs } = bench()
    const fn = put(0, 1, 0)
    fn.writeConfig(4, 2, 0x4)
    expect([sysfs.read(`${AT}/vendor`), sysfs.read(`${AT}/device`), sysfs.read(`${AT}/class`)]).toEqual([
      '0x1234\n',
      '0x11e8\n',
      '0x000000\n',
    ])
    const config = sysfs.readBytes(`${AT}/config`)
    expect([config.length, ...config.subarray(0, 5)]).toEqual([256, 0x34, 0x12, 0xe8, 0x11, 0x04])
    expect(sysfs.read(`${AT}/modalias`)).toBe('pci:v00001234d000011E8sv00000000sd00000000bc00sc00i00\n')
  })
  test('shows where its BARs lie, and which have no address', () => {
    const { put, sysfs } = bench()
    put(0, 1, 0, {
      bars: [
        { index: 0, size: 4096, at: 0xfe00_0004, wide: true },
        { index: 2, size: 32, at: 0x4001, space: 'io' },
        { index: 3, size: 4096 },
      ],
    })
    expect(sysfs.read(`${AT}/resource`).split('\n').slice(0, 4)).toEqual([
      '0x00000000fe000000 0x00000000fe000fff 0x0000000000140204',
      '0x0000000000000000 0x0000000000000000 0x0000000000000000',
      '0x0000000000004000 0x000000000000401f 0x0000000000040101',
      '0x0000000000000000 0x0000000000000fff 0x0000000020040200',
    ])
  })
  test('leaves the bus when 1 is written to remove', () => {
    const { put, sysfs } = bench()
    const fn = put(0, 1, 0)
    expect(() => sysfs.write(`${AT}/remove`, 'x')).toThrow('EINVAL')
    sysfs.write(`${AT}/remove`, '0')
    expect(fn.present).toBe(true)
    sysfs.write(`${AT}/remove`, '1\n')
    expect([fn.present, sysfs.exists(AT)]).toEqual([false, false])
  })
  test('takes writes to its configuration space at their place, as far as it reaches', () => {
    const { put, sysfs } = bench()
    const fn = put(0, 1, 0)
    const config = sysfs.attribute(`${AT}/config`, 'test')
    expect(config.storeAt?.(4, Uint8Array.of(4, 0, 0xff))).toBe(3)
    expect(config.storeAt?.(0x3b, Uint8Array.of(1, 0x2a))).toBe(2)
    expect([fn.readConfig(4, 2), fn.readConfig(0x3c, 1), config.storeAt?.(254, new Uint8Array(8))]).toEqual([
      4, 0x2a, 2,
    ])
  })
})
