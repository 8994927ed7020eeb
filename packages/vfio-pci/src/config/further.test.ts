import { expect, test } from 'vitest'
import { AT, openedWorld } from '../world.test-kit.ts'

test('the conventional reset bit resets the function and reads as 0', () => {
  const { config, model } = openedWorld({ more: ['af'] })
  const { resets } = model
  config.write(AT.af + 4, 1, 1)
  expect([model.resets - resets, config.read(AT.af + 4, 1)]).toEqual([1, 0])
})
test('error masks and severities can be written, header and serial number cannot', () => {
  const { config } = openedWorld({ express: true })
  const before = config.read(AT.aer, 4)
  for (const at of [AT.aer, AT.aer + 8, AT.aer + 0x0c, AT.aer + 0x14, AT.dsn + 4]) config.write(at, 4, 0xffff_ffff)
  expect(config.read(AT.aer, 4)).toBe(before)
  expect([config.read(AT.aer + 8, 4), config.read(AT.aer + 0x14, 4)]).toEqual([0x03ff_f030, 0xf1c1])
  expect(config.read(AT.dsn + 4, 4)).toBe(0)
})
