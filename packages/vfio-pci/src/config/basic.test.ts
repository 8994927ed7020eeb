import { expect, test } from 'vitest'
import { BAR, openedWorld } from '../world.test-kit.ts'

test("BARs are the user's own: sizing works, moving one moves nothing", () => {
  const { config, fn } = openedWorld({ bars: ['memory', 'io', 'wide', 'rom'] })
  for (const at of [0x10, 0x14, 0x18, 0x1c, 0x20, 0x30]) config.write(at, 4, 0xffff_ffff)
  const sizes = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x30].map((at) => config.read(at, 4))
  expect(sizes).toEqual([0xffff_e000, 0xffff_ffe1, 0xffff_f00c, 0xffff_ffff, 0, 0xffff_f001])
  expect(fn('00:01.0').barAddress(0)).toBe(BAR.memory)
})
test('a BAR takes single bytes', () => {
  const { config } = openedWorld()
  config.write(0x10, 4, 0x1234_5678)
  config.write(0x13, 1, 0xee)
  expect(config.read(0x10, 4)).toBe(0xee34_4000)
})
test('COMMAND is shared with the hardware, but for Interrupt Disable', () => {
  const { config, fn } = openedWorld()
  config.write(0x04, 2, 0x0406)
  expect([config.read(0x04, 2), fn('00:01.0').readConfig(0x04, 2) & 0x7]).toEqual([0x0406, 6])
  config.write(0x04, 1, 0)
  expect([config.read(0x04, 2), fn('00:01.0').barAddress(0)]).toEqual([0x0400, undefined])
})
test('ids, class and pin are read-only; the interrupt line is kept', () => {
  const { config } = openedWorld({ pin: 1 })
  for (const at of [0x00, 0x08, 0x2c, 0x34, 0x3c]) config.write(at, 4, 0xffff_ffff)
  expect([config.read(0, 4), config.read(8, 4), config.read(0x2c, 4), config.read(0x3c, 4)]).toEqual([
    0x11e8_1234, 0x0200_0000, 0, 0x01ff,
  ])
})
test('BARs that the hardware lost are put back when the user enables memory again', () => {
  const { config, fn, model } = openedWorld()
  config.write(0x04, 2, 2)
  fn('00:01.0').reset('bus')
  expect(fn('00:01.0').barAddress(0)).toBeUndefined()
  config.write(0x04, 2, 2)
  expect([fn('00:01.0').barAddress(0), model.resets]).toEqual([BAR.memory, 1])
})
