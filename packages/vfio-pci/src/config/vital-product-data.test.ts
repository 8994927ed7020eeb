import { expect, test } from 'vitest'
import { AT, openedWorld } from '../world.test-kit.ts'

test('an address the hardware never completes stays as it was written', () => {
  const { config, fn } = openedWorld({ more: ['vpd'] })
  config.write(AT.vpd + 2, 2, 0x0010)
  expect([config.read(AT.vpd + 2, 2), fn('00:01.0').readConfig(AT.vpd + 2, 2)]).toEqual([0x0010, 0x0010])
})
test('data is handed over with the address that asks for the write', () => {
  const { config, fn } = openedWorld({ more: ['vpd'] })
  config.write(AT.vpd + 4, 4, 0x1234_5678)
  expect(fn('00:01.0').readConfig(AT.vpd + 4, 4)).toBe(0)
  config.write(AT.vpd + 2, 2, 0x8010)
  expect(fn('00:01.0').readConfig(AT.vpd + 4, 4)).toBe(0x1234_5678)
})
test('a write to an address between dwords is not handed over', () => {
  const { config, fn } = openedWorld({ more: ['vpd'] })
  config.write(AT.vpd + 4, 4, 0x1234_5678)
  config.write(AT.vpd + 2, 2, 0x8012)
  expect([config.read(AT.vpd + 2, 2), fn('00:01.0').readConfig(AT.vpd + 4, 4)]).toEqual([0x8012, 0])
})
