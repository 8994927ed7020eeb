import { describe, expect, test } from 'vitest'
import { acs, advancedErrors, express, msi, msix, powerManagement } from './capabilities.ts'
import { buildConfig } from './config-builder.ts'
import { qemuScratch, qemuWritable } from './qemu-masks.ts'

const NIC = { vendor: 0x8086, device: 0x10d3, classCode: 0x020000 }
const dword = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer).getUint32(at, true)

describe('a function of QEMU', () => {
  const config = buildConfig({
    ...NIC,
    capabilities: [
      { ...powerManagement(), at: 0x50 },
      { ...msi(), at: 0x60 },
      { ...express(), at: 0x80 },
      { ...msix({ vectors: 2, table: { bar: 3, offset: 0 }, pending: { bar: 3, offset: 0x800 } }), at: 0xc0 },
      { ...advancedErrors(), at: 0x100 },
      { ...acs(0x1d), at: 0x150 },
    ],
  })
  const writable = qemuWritable(config, [])

  test('keeps over a reset what belongs to no capability', () => {
    const scratch = qemuScratch(config)
    expect([0x3f, 0x40, 0x57, 0x58, 0x100, 0x200].map((at) => scratch[at])).toEqual([0, 0xff, 0, 0xff, 0, 0xff])
  })
  test('has neither parity response nor a latency timer', () => {
    expect(dword(writable, 0x04) & 0xffff).toBe(0x507)
    const conventional = qemuWritable(buildConfig(NIC), [])
    expect(conventional[0x0d]).toBe(0)
    expect(conventional[0x04]).toBe(0x07)
  })

  test('keeps what is written behind the header, outside capabilities', () => {
    expect(dword(writable, 0x40)).toBe(0xffff_ffff)
    expect(dword(writable, 0x58)).toBe(0xffff_ffff)
    expect(dword(writable, 0xbc)).toBe(0xffff_ffff)
    expect(dword(writable, 0xcc)).toBe(0xffff_ffff)
    expect(dword(writable, 0x148)).toBe(0xffff_ffff)
    expect(dword(writable, 0x158)).toBe(0xffff_ffff)
    expect(dword(writable, 0xffc)).toBe(0xffff_ffff)
  })

  test('lets capabilities change only where they can', () => {
    expect(dword(writable, 0x50)).toBe(0)
    expect(dword(writable, 0x80)).toBe(0)
    expect(dword(writable, 0xb8)).toBe(0)
    expect(dword(writable, 0xc0)).toBe(0xc000_0000)
    expect(dword(writable, 0x100)).toBe(0)
    expect(dword(writable, 0x154)).toBe(0x1d_0000)
  })

  test('keeps the header of type 0 and of type 1 as it is', () => {
    expect(dword(writable, 0x00)).toBe(0)
    expect(dword(writable, 0x34)).toBe(0)
    const bridge = qemuWritable(buildConfig({ ...NIC, bridge: { primary: 0, secondary: 1, subordinate: 1 } }), [])
    expect(dword(bridge, 0x18) & 0xff_ffff).toBe(0xff_ffff)
    expect(dword(bridge, 0x34)).toBe(0)
  })
})

const unknown = (at: number) => ({ id: 0x14, body: Uint8Array.of(0, 0, 1, 1), at })
test('a capability of unknown length reaches to the next one, the last to the end of its area', () => {
  const writable = qemuWritable(
    buildConfig({ ...NIC, capabilities: [unknown(0x50), { ...powerManagement(), at: 0x60 }, unknown(0x80)] }),
    [],
  )
  expect(dword(writable, 0x4c)).toBe(0xffff_ffff)
  expect(dword(writable, 0x5c)).toBe(0)
  expect(dword(writable, 0x68)).toBe(0xffff_ffff)
  expect(dword(writable, 0xfc)).toBe(0)
})

test('without extended capabilities all of the extended space is scratch, but for the empty header', () => {
  const writable = qemuWritable(buildConfig({ ...NIC, capabilities: [express()] }), [])
  expect(dword(writable, 0x100)).toBe(0)
  expect(writable.slice(0x104).every((byte) => byte === 0xff)).toBe(true)
})

describe('an endpoint of QEMU', () => {
  const at = 0x80
  const controls = (vendor: number, deviceCapabilities = 0) => {
    const config = buildConfig({
      ...NIC,
      vendor,
      capabilities: [
        { ...express(), at },
        { ...powerManagement(), at: 0x50 },
      ],
    })
    new DataView(config.buffer).setUint32(at + 4, deviceCapabilities, true)
    const writable = qemuWritable(config, [])
    const word = (offset: number): number => dword(writable, offset) & 0xffff
    return { device: word(at + 0x08), link: word(at + 0x10), device2: word(at + 0x28), power: word(0x54) }
  }
  test('has neither payload size, read request size, tags nor snooping to set', () => {
    expect(controls(0x1b36)).toEqual({ device: 0, link: 0, device2: 0x8000, power: 0x3 })
  })
  test('can be told to reset where it says so', () => {
    expect(controls(0x1b36, 0x1000_0000).device).toBe(0x8000)
  })
  test('keeps error reporting and link clocks as a virtio device, events and data select as an Intel one', () => {
    expect(controls(0x1af4, 0x1000_0000)).toEqual({ device: 0x800f, link: 0xc0, device2: 0x8000, power: 0x3 })
    expect(controls(0x8086).power).toBe(0x1f03)
  })
})

test('the access window of a virtio device keeps BAR, offset, length and data; its other capabilities nothing', () => {
  const window = { id: 0x09, body: Uint8Array.of(0, 0, 20, 5, ...Array<number>(16).fill(0)), at: 0x60 }
  const common = { id: 0x09, body: Uint8Array.of(0, 0, 16, 1, ...Array<number>(12).fill(0)), at: 0x80 }
  const of = (vendor: number): Uint8Array =>
    qemuWritable(buildConfig({ ...NIC, vendor, capabilities: [window, common] }), [])
  const writable = of(0x1af4)
  expect([dword(writable, 0x60), dword(writable, 0x64), dword(writable, 0x70)]).toEqual([0, 0xff, 0xffff_ffff])
  expect([dword(writable, 0x84), dword(writable, 0x8c), dword(of(0x8086), 0x64)]).toEqual([0, 0, 0])
})
