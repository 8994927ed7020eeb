import { expect, test } from 'vitest'
import { AT, testBus } from './pci-models.test-kit.ts'
import { changeCommand, enabledDecoding, restoreState, saveState } from './saved-state.ts'

test('header and control fields come back, other registers do not', () => {
  const { put } = testBus()
  const one = put(0, 1, 0, { port: 0, acs: [0x1f, 0], bars: [{ index: 0, size: 0x1000, at: 0xe000_0000 }] })
  one.writeConfig(0x04, 2, 6)
  one.writeConfig(AT.express + 8, 2, 0x2000)
  one.writeConfig(AT.acs + 6, 2, 0x1d)
  const saved = saveState(one)
  one.reset('bus')
  expect([one.barRegister(0), one.readConfig(0x04, 2)]).toEqual([0, 0])
  restoreState(one, saved)
  expect([one.barAddress(0), one.readConfig(0x04, 2), one.readConfig(AT.express + 8, 2)]).toEqual([
    0xe000_0000, 6, 0x2000,
  ])
  expect(one.readConfig(AT.acs + 6, 2)).toBe(0x1d)
})
test('COMMAND bits are set and cleared alone; decoding is switched on for the kinds of BARs there are', () => {
  const { put } = testBus()
  const one = put(0, 1, 0, {
    bars: [
      { index: 0, size: 0x1000, at: 0xe000_0000 },
      { index: 1, size: 0x20, at: 0x1000, space: 'io' },
    ],
  })
  one.writeConfig(0x04, 2, 5)
  changeCommand(one, { set: 2, clear: 4 })
  expect([one.readConfig(0x04, 2), enabledDecoding(one), enabledDecoding(put(0, 2, 0))]).toEqual([3, 3, 0])
})
