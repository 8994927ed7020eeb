import { capabilities, extendedCapabilities } from '@ioasis/core'
import { expect, test } from 'vitest'
import { ari, advancedErrors, express, sriov } from './capabilities.ts'
import { buildConfig } from './config-builder.ts'
import { virtualConfig } from './virtual-function.ts'

const physical = buildConfig({
  vendor: 0x8086,
  device: 0x10c9,
  subsystemVendor: 0x1af4,
  subsystem: 0x1100,
  classCode: 0x020000,
  revision: 1,
  interruptPin: 1,
  capabilities: [
    express({ flr: true }),
    advancedErrors(),
    ari(),
    sriov({ vfs: 8, offset: 0x80, stride: 2, device: 0x10ca }),
  ],
})

test('ids read ones, the pin zero; class and subsystem are those of the physical function', () => {
  const config = virtualConfig(physical)
  expect([...config.subarray(0, 4), config[0x3d]]).toEqual([0xff, 0xff, 0xff, 0xff, 0])
  expect([...config.subarray(8, 12)]).toEqual([1, 0, 0, 2])
  expect([...config.subarray(0x2c, 0x30)]).toEqual([0xf4, 0x1a, 0x00, 0x11])
})
test('PCI Express, MSI-X, error reporting and ARI are there, SR-IOV is not', () => {
  const msix = { at: 0x70, entries: 3, table: { bar: 3, offset: 0 }, pending: { bar: 3, offset: 0x2000 } }
  const config = virtualConfig(physical, { msix })
  expect(capabilities(config).map(({ id }) => id)).toEqual([0x10, 0x11])
  expect([...config.subarray(0x72, 0x7c)]).toEqual([2, 0, 3, 0, 0, 0, 3, 0x20, 0, 0])
  expect(extendedCapabilities(config).map(({ id }) => id)).toEqual([0x01, 0x0e])
})
