import { describe, expect, test } from 'vitest'
import { model } from './pci-models.test-kit.ts'
import { bridgeInfo, forwardsMemory } from './bridge.ts'
import { setDword } from './capability-chain.ts'

test('the kind follows the port type, and a bridge without PCI Express is conventional', () => {
  const kinds = [4, 5, 6, 7, 8, undefined].map((port) =>
    bridgeInfo(model({ bridge: [1, 1], ...(port !== undefined && { port }) }).config),
  )
  expect(kinds.map((info) => info?.kind)).toEqual([
    'rootPort',
    'upstream',
    'downstream',
    'pcieToPci',
    'pciToPcie',
    'pciToPci',
  ])
})
test('an endpoint is no bridge', () => {
  expect(bridgeInfo(model().config)).toBeUndefined()
})

const bridge = (): Uint8Array => model({ port: 4, bridge: [1, 1], command: 2 }).config

describe('memory windows', () => {
  test('a range inside the memory window passes, one across its end does not', () => {
    const config = bridge()
    setDword(config, 0x20, 0xfe70_fe60)
    expect(forwardsMemory(config, 0xfe60_0000, 0xfe7f_ffff)).toBe(true)
    expect(forwardsMemory(config, 0xfe7f_f000, 0xfe80_0fff)).toBe(false)
  })
  test('the prefetchable window reaches above 4 GiB', () => {
    const config = bridge()
    setDword(config, 0x24, 0x0011_0001)
    setDword(config, 0x28, 1)
    setDword(config, 0x2c, 1)
    expect(forwardsMemory(config, 0x1_0000_0000, 0x1_001f_ffff)).toBe(true)
    expect(forwardsMemory(config, 0x10_0000, 0x10_ffff)).toBe(false)
  })
  test('a closed window passes nothing', () => {
    const config = bridge()
    setDword(config, 0x20, 0x0000_fff0)
    setDword(config, 0x24, 0x0000_fff0)
    expect(forwardsMemory(config, 0xfe60_0000, 0xfe60_0fff)).toBe(false)
  })
  test('COMMAND.Memory off passes nothing', () => {
    const config = model({ port: 4, bridge: [1, 1] }).config
    expect(forwardsMemory(config, 0xfe60_0000, 0xfe60_0fff)).toBe(false)
  })
})
