import type { PciFunction } from '@ioasis/core'
import { expect, test } from 'vitest'
import { capabilityBytes, extendedBytes, msiBytes } from './lengths.ts'

const fn = (...bytes: number[]): PciFunction => ({ config: Uint8Array.from(bytes) }) as unknown as PciFunction

test('MSI grows by its upper address and its masks', () => {
  expect([0x00, 0x80, 0x100, 0x180].map(msiBytes)).toEqual([10, 14, 20, 24])
})
const bytes = (flags: number): number => capabilityBytes(fn(0x10, 0, flags, 0), 0x10, 0)

test('PCI Express has a link unless it is integrated, and more from version 2 on', () => {
  expect([bytes(0x01), bytes(0x91), bytes(0x02), bytes(0x92)]).toEqual([0x14, 0xc, 0x34, 0x2c])
})
test('vendor-specific capabilities say it themselves, unknown ones are hidden', () => {
  expect([capabilityBytes(fn(9, 0, 20), 9, 0), capabilityBytes(fn(0xd, 0), 0xd, 0)]).toEqual([20, 0])
  expect([extendedBytes(fn(0xb, 0, 1, 0, 0, 0, 0x80, 0x01), 0xb, 0), extendedBytes(fn(0x1b, 0), 0x1b, 0)]).toEqual([
    0x18, 0,
  ])
})
const acs = (low: number, high: number): number => extendedBytes(fn(0xd, 0, 0, 0, low, high), 0xd, 0)

test('access control with an egress vector is longer', () => {
  expect([acs(0x1d, 0), acs(0x20, 8), acs(0x20, 0)]).toEqual([8, 12, 40])
})
