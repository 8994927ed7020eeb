import { expect, test } from 'vitest'
import { ACS, findCapability, findExtendedCapability } from '@ioasis/core'
import {
  acs,
  advancedErrors,
  express,
  msi,
  msix,
  pasid,
  powerManagement,
  serialNumber,
  sriov,
  vendorSpecific,
} from './capabilities.ts'
import { buildConfig, type ConfigSpec } from './config-builder.ts'

const NIC: ConfigSpec = { vendor: 0x8086, device: 0x10d3, classCode: 0x020000, revision: 2 }
const u16 = (config: Uint8Array, at: number): number => (config[at] as number) | ((config[at + 1] as number) << 8)

test('writes ids, class and subsystem where the header has them', () => {
  const config = buildConfig({
    ...NIC,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    interruptPin: 2,
    multifunction: true,
  })
  expect(config.length).toBe(256)
  expect([...config.subarray(0, 12)]).toEqual([0x86, 0x80, 0xd3, 0x10, 0, 0, 0, 0, 2, 0, 0, 2])
  expect(u16(config, 0x2c)).toBe(0x1af4)
  expect(config[0x0e]).toBe(0x80)
  expect(config[0x3d]).toBe(2)
})

test('chains capabilities in order, extended ones from 0x100 on', () => {
  const config = buildConfig({
    ...NIC,
    capabilities: [
      powerManagement(),
      msi(),
      express({ flr: true }),
      msix({ vectors: 5, table: { bar: 3, offset: 0 }, pending: { bar: 3, offset: 0x2000 } }),
      advancedErrors(),
      serialNumber(0x1122334455667788n),
      pasid({ bits: 16 }),
    ],
  })
  expect(config.length).toBe(4096)
  expect(config[0x34]).toBe(0x40)
  expect(findCapability(config, 0x05)).toBe(0x48)
  expect(findCapability(config, 0x10)).toBe(0x58)
  expect(u16(config, findCapability(config, 0x11) + 2)).toBe(4)
  expect(findExtendedCapability(config, 1)).toBe(0x100)
  expect(findExtendedCapability(config, 3)).toBe(0x148)
  expect(u16(config, findExtendedCapability(config, 0x1b) + 4)).toBe(0x1006)
})

test('puts a capability where it must stand and the others around it', () => {
  const config = buildConfig({
    ...NIC,
    capabilities: [express({ at: 0x40 }), powerManagement({ at: 0xc8 }), vendorSpecific(Uint8Array.of(1, 2))],
  })
  expect(findCapability(config, 0x01)).toBe(0xc8)
  expect(findCapability(config, 0x09)).toBe(0x7c)
  expect(config[0x7e]).toBe(5)
})

test('refuses capabilities that overlap or do not fit', () => {
  const overlap = [powerManagement({ at: 0x40 }), msi({ at: 0x44 })]
  expect(() => buildConfig({ ...NIC, capabilities: overlap })).toThrow(
    '8086:10d3: capability 0x5 of 16 bytes does not fit at 0x44',
  )
  expect(() => buildConfig({ ...NIC, capabilities: [vendorSpecific(new Uint8Array(200))] })).toThrow(
    'does not fit at 0x40',
  )
  expect(() => msi({ vectors: 3 })).toThrow('msi: 3 vectors')
})

test('encodes ACS and SR-IOV as their specifications lay them out', () => {
  const config = buildConfig({
    ...NIC,
    capabilities: [
      express(),
      acs(ACS.SV | ACS.RR, { enabled: 1 }),
      sriov({ vfs: 8, offset: 128, stride: 2, device: 0x10ca }),
    ],
  })
  const at = findExtendedCapability(config, 0x0d)
  expect([u16(config, at + 4), u16(config, at + 6)]).toEqual([5, 1])
  const vf = findExtendedCapability(config, 0x10)
  expect([u16(config, vf + 0xe), u16(config, vf + 0x14), u16(config, vf + 0x16), u16(config, vf + 0x1a)]).toEqual([
    8, 128, 2, 0x10ca,
  ])
})

test('gives BARs their type bits and a bridge its bus numbers', () => {
  const bars = [
    { index: 0, size: 0x4000, space: 'memory', wide: true, prefetchable: true } as const,
    { index: 2, size: 32, space: 'io', wide: false, prefetchable: false } as const,
  ]
  const config = buildConfig({ ...NIC, bars })
  expect(config[0x10]).toBe(0xc)
  expect(config[0x18]).toBe(1)
  const bridge = buildConfig({ ...NIC, bridge: { primary: 0, secondary: 3, subordinate: 4 } })
  expect([...bridge.subarray(0x0e, 0x1b)].filter((b) => b > 0)).toEqual([1, 3, 4])
})
