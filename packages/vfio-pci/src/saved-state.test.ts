import { expect, test } from 'vitest'
import { changeCommand, enabledDecoding, restoreState, saveState } from './saved-state.ts'
import { AT, BAR, Model, pciWorld } from './world.test-kit.ts'

test('header and control fields come back, other registers do not', () => {
  const { fn } = pciWorld({ '00:01.0': new Model({ express: true, bars: ['memory', 'wide'] }) })
  const one = fn('00:01.0')
  one.writeConfig(0x04, 2, 6)
  one.writeConfig(AT.express + 8, 2, 0x2000)
  one.writeConfig(AT.aer + 8, 4, 0x10)
  const saved = saveState(one)
  one.reset('bus')
  expect([one.barRegister(0), one.readConfig(0x04, 2)]).toEqual([0, 0])
  restoreState(one, saved)
  expect([one.barAddress(0), one.barAddress(2), one.readConfig(0x04, 2), one.readConfig(AT.aer + 8, 4)]).toEqual([
    BAR.memory,
    BAR.wide,
    6,
    0x10,
  ])
})
test('COMMAND bits are set and cleared alone; decoding is switched on for the kinds of BARs there are', () => {
  const { fn } = pciWorld({ '00:01.0': new Model({ bars: ['memory', 'io'] }), '00:02.0': new Model({ bars: [] }) })
  const one = fn('00:01.0')
  one.writeConfig(0x04, 2, 5)
  changeCommand(one, { set: 2, clear: 4 })
  expect([one.readConfig(0x04, 2), enabledDecoding(one), enabledDecoding(fn('00:02.0'))]).toEqual([3, 3, 0])
})
