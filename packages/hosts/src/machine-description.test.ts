import { expect, test } from 'vitest'
import { bdf } from '@ioasis/core'
import { pciToPciBridgeModel, rootPortModel } from '@ioasis/devices'
import { checkMachine, type DescribedFunction } from './machine-description.ts'

const fn = (id: number, config: Uint8Array = new Uint8Array(256)): DescribedFunction => ({
  segment: 0,
  bdf: id,
  config,
  bars: [{ index: 0, size: 0x1000, space: 'memory', wide: false, prefetchable: false }],
  vfBars: [],
  driver: undefined,
  attributes: {},
  files: [],
})
const at = (id: number, address: number): DescribedFunction => {
  const config = new Uint8Array(256)
  new DataView(config.buffer).setUint32(0x10, address, true)
  return fn(id, config)
}
const port = (id: number, secondary: number, subordinate = secondary): DescribedFunction =>
  fn(id, rootPortModel({ secondary, subordinate }).config)

test('accepts functions on root buses and behind bridges', () => {
  expect(() => checkMachine('m', [port(8, 1), fn(bdf(1, 0, 0)), fn(bdf(0x80, 0, 0))], true)).not.toThrow()
})

test('refuses a bus that lies in a bridge’s range and behind no bridge', () => {
  expect(() => checkMachine('m', [port(8, 1, 4), fn(bdf(3, 0, 0))], true)).toThrow(
    'm: 0000:03:00.0: no bridge has bus 0x3 as its secondary bus',
  )
})

test('refuses a bus behind two bridges', () => {
  const second = fn(16, pciToPciBridgeModel({ secondary: 1 }).config)
  expect(() => checkMachine('m', [port(8, 1), second, fn(bdf(1, 0, 0))], true)).toThrow(
    'm: 0000:01:00.0: bus 0x1 is the secondary bus of 0000:00:01.0 and 0000:00:02.0',
  )
})

test('refuses overlapping BARs unless their sizes were assumed', () => {
  const functions = [at(8, 0xfe00_0000), at(16, 0xfe00_0800)]
  expect(() => checkMachine('m', functions, true)).toThrow(
    'm: 0000:00:02.0: BAR 0 at 0xfe000800 overlaps BAR 0 of 0000:00:01.0',
  )
  expect(() => checkMachine('m', functions, false)).not.toThrow()
})
