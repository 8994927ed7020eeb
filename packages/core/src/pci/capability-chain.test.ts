import { expect, test } from 'vitest'
import { AT, model } from './pci-models.test-kit.ts'
import { capabilities, extendedCapabilities, findCapability, portType, setDword } from './capability-chain.ts'

test('capabilities come in list order', () => {
  const { config } = model({ port: 0, pm: [0, 0], msi: 0 })
  expect(capabilities(config).map((c) => c.id)).toEqual([0x10, 0x01, 0x05])
})
test('a chain that loops ends', () => {
  const { config } = model({ pm: [0, 0], msi: 0 })
  config[AT.msi + 1] = AT.pm
  expect(capabilities(config)).toHaveLength(2)
})
test('without the STATUS bit there is no chain', () => {
  const { config } = model({ pm: [0, 0] })
  config[6] = 0
  expect(findCapability(config, 0x01)).toBe(0)
})
test('a pointer into the header ends the chain', () => {
  const { config } = model({ pm: [0, 0] })
  config[AT.pm + 1] = 0x10
  expect(capabilities(config)).toEqual([{ id: 1, offset: AT.pm }])
})
test('an extended chain that loops ends', () => {
  const { config } = model({ port: 0, acs: [0, 0] })
  setDword(config, AT.acs, 0x1001_000d)
  expect(extendedCapabilities(config)).toEqual([{ id: 0x0d, offset: 0x100 }])
})
test('a conventional function has no extended capabilities and no port type', () => {
  const { config } = model()
  expect([extendedCapabilities(config), portType(config)]).toEqual([[], undefined])
})
