import { expect, test } from 'vitest'
import { AT, openedWorld } from '../world.test-kit.ts'

const CONTROL = AT.express + 8

test("payload size stays the user's own, read request size reaches the hardware", () => {
  const { config, fn } = openedWorld({ express: true })
  config.write(CONTROL, 2, 0x5060)
  expect([config.read(CONTROL, 2) & 0x70e0, fn('00:01.0').readConfig(CONTROL, 2) & 0x70e0]).toEqual([0x5060, 0x5000])
})
test('a read request is never smaller than the real payload', () => {
  const { config, fn } = openedWorld({ express: true })
  fn('00:01.0').writeConfig(CONTROL, 2, 0x2040)
  config.write(CONTROL, 2, 0x5000)
  config.write(CONTROL, 2, 0x1000)
  expect([config.read(CONTROL, 2) & 0x7000, fn('00:01.0').readConfig(CONTROL, 2) & 0x7000]).toEqual([0x1000, 0x2000])
})
test('the reset bit resets the function and reads as 0; what the user set in COMMAND stays', () => {
  const { config, model } = openedWorld({ express: 'flr' })
  config.write(0x04, 2, 6)
  const { resets } = model
  config.write(CONTROL, 2, 0x8000)
  expect([model.resets - resets, config.read(CONTROL, 2) & 0x8000, config.read(0x04, 2)]).toEqual([1, 0, 6])
})
test('without the ability the bit does nothing', () => {
  const { config, model } = openedWorld({ express: true })
  config.write(CONTROL, 2, 0x8000)
  expect([model.resets, config.read(CONTROL, 2) & 0x8000]).toEqual([0, 0])
})
test('a read request beyond 4096 bytes does not reach the hardware', () => {
  const { config, fn } = openedWorld({ express: true })
  config.write(CONTROL, 2, 0x5000)
  config.write(CONTROL, 2, 0x7000)
  expect([config.read(CONTROL, 2) & 0x7000, fn('00:01.0').readConfig(CONTROL, 2) & 0x7000]).toEqual([0x7000, 0x5000])
})
