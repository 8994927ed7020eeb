import { describe, expect, test } from 'vitest'
import { AT, model, testBus } from './pci-models.test-kit.ts'
import { ConfigSpace } from './config-space.ts'

const space = (options: Parameters<typeof model>[0]): ConfigSpace => new ConfigSpace(model(options))

describe('sizing a BAR with all ones', () => {
  test('a 32-bit BAR reads back its size and type', () => {
    const config = space({ bars: [{ index: 0, size: 0x1000, prefetchable: true }] })
    config.write(0x10, 4, 0xffff_ffff)
    expect(config.read(0x10, 4)).toBe(0xffff_f008)
  })
  test('a 64-bit BAR above 4 GiB leaves the lower register without address bits', () => {
    const config = space({ bars: [{ index: 2, size: 2 ** 33, wide: true }] })
    config.write(0x18, 4, 0xffff_ffff)
    config.write(0x1c, 4, 0xffff_ffff)
    expect([config.read(0x18, 4), config.read(0x1c, 4)]).toEqual([0x4, 0xffff_fffe])
  })
  test('an I/O BAR keeps bit 0', () => {
    const config = space({ bars: [{ index: 1, size: 32, space: 'io' }] })
    config.write(0x14, 4, 0xffff_ffff)
    expect(config.read(0x14, 4)).toBe(0xffff_ffe1)
  })
  test('the ROM reads back its size and the enable bit', () => {
    const config = space({ bars: [{ index: 6, size: 0x1_0000, space: 'rom' }] })
    config.write(0x30, 4, 0xffff_ffff)
    expect(config.read(0x30, 4)).toBe(0xffff_0001)
  })
  test('a BAR that is not there stays zero', () => {
    const config = space({})
    config.write(0x24, 4, 0xffff_ffff)
    expect(config.read(0x24, 4)).toBe(0)
  })
})

describe('write masks', () => {
  test('ids are read-only', () => {
    const config = space({})
    config.write(0, 4, 0)
    expect(config.read(0, 4)).toBe(0x11e8_1234)
  })
  test('COMMAND keeps the bits that functions have', () => {
    const config = space({})
    config.write(4, 2, 0xffff)
    expect(config.read(4, 2)).toBe(0x0547)
  })
  test('a STATUS bit is cleared by writing 1 and left by writing 0', () => {
    const config = space({})
    config.bytes[7] = 0xf9
    config.write(7, 1, 0x10)
    expect(config.read(7, 1)).toBe(0xe9)
  })
  test('the MSI mask register has a bit for each vector the function asks for', () => {
    const config = space({ msi: 0x0184 })
    config.write(AT.msi + 0x10, 4, 0xffff_ffff)
    expect(config.read(AT.msi + 0x10, 4)).toBe(0xf)
  })
  test('ACS controls follow the capability', () => {
    const config = space({ port: 4, acs: [0x1d, 0] })
    config.write(AT.acs + 6, 2, 0xffff)
    expect(config.read(AT.acs + 6, 2)).toBe(0x1d)
  })
  test('Enable No Snoop can be set on an endpoint and not on a root port', () => {
    expect([space({ port: 0 }).writable(AT.express + 8, 2), space({ port: 4 }).writable(AT.express + 8, 2)]).toEqual([
      0x78ff, 0x00ef,
    ])
  })
  test("a model's own masks win, but for BARs", () => {
    const own = model({ bars: [{ index: 0, size: 0x1000 }] })
    const config = new ConfigSpace({ ...own, writable: new Uint8Array(256).fill(0xff) })
    config.write(0, 2, 0xabcd)
    config.write(0x10, 4, 0xffff_ffff)
    expect([config.read(0, 2), config.read(0x10, 4)]).toEqual([0xabcd, 0xffff_f000])
  })
  test('a bridge has bus numbers, windows and Bridge Control', () => {
    const config = space({ port: 4, bridge: [1, 2] })
    config.write(0x18, 4, 0xffff_ffff)
    config.write(0x20, 4, 0xffff_ffff)
    config.write(0x3e, 2, 0xffff)
    expect([config.read(0x18, 4), config.read(0x20, 4), config.read(0x3e, 2)]).toEqual([0x00ff_ffff, 0xfff0_fff0, 0x7f])
  })
})

describe('cycles', () => {
  test('beyond a conventional space reads are all ones', () => {
    expect(space({}).read(0x100, 4)).toBe(0xffff_ffff)
  })
  test('an unaligned cycle is a broken promise', () => {
    expect(() => space({}).read(3, 2)).toThrow('configuration cycle of 2 bytes at offset 3')
  })
})

describe('reset', () => {
  test('what a kernel had set is taken back, what the device chose stays', () => {
    const config = space({
      command: 0x107,
      port: 0,
      msi: 0x81,
      bars: [{ index: 0, size: 0x1000, wide: true, at: 0x1_fe00_0000 }],
    })
    config.reset(false)
    expect([config.read(4, 2), config.read(0x10, 4), config.read(0x14, 4)]).toEqual([0, 4, 0])
    expect([config.read(AT.msi + 2, 2), config.read(AT.express + 8, 2)]).toEqual([0x80, 0x2810])
  })
  test('a function level reset spares the payload size', () => {
    const config = space({ port: 0 })
    config.write(AT.express + 8, 2, 0x2837)
    config.reset(true)
    expect(config.read(AT.express + 8, 2)).toBe(0x2830)
  })
})

test('the topology reads all ones where nobody stands', () => {
  expect(testBus().pci.readConfig(0, 0x18, 0, 2)).toBe(0xffff)
})

test('a reset leaves alone what the model keeps', () => {
  const plain = model()
  const kept = new Uint8Array(256)
  kept[0x50] = 0x0f
  const writable = new Uint8Array(256).fill(0xff, 0x50, 0x52)
  const config = new ConfigSpace({ ...plain, writable, keptOverReset: kept })
  config.write(0x50, 2, 0xabcd)
  config.reset(false)
  expect(config.read(0x50, 2)).toBe(0x000d)
})
test('a virtual function has no BARs of its own, and Bus Master alone in COMMAND', () => {
  const config = new ConfigSpace(model({ port: 0, bars: [{ index: 0, size: 0x1000 }] }), true)
  config.write(0x04, 2, 0xffff)
  config.write(0x10, 4, 0xffff_ffff)
  expect([config.read(0x04, 2), config.read(0x10, 4)]).toEqual([4, 0])
})
