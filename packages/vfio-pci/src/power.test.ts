import { expect, test } from 'vitest'
import { Power } from './power.ts'
import { BAR, Model, pciWorld } from './world.test-kit.ts'

const powerOf = (pm: number | undefined, restless = false) => {
  const { fn } = pciWorld({ '00:01.0': new Model(pm === undefined ? {} : { pm }) })
  const one = fn('00:01.0')
  one.writeConfig(0x84, 2, 0)
  one.writeConfig(0x10, 4, BAR.memory)
  one.writeConfig(0x04, 2, 2)
  return { one, power: new Power(one, restless) }
}

test.each([0, 8])('sleeping and waking gives the registers back, PMCSR %i', (pm) => {
  const { one, power } = powerOf(pm)
  power.sleep()
  expect([power.sleeps, one.powerState, one.barAddress(0)]).toEqual([true, 3, undefined])
  power.wake()
  expect([power.sleeps, one.powerState, one.barAddress(0)]).toEqual([false, 0, BAR.memory])
})
test('a function without the capability stays awake', () => {
  const { one, power } = powerOf(undefined)
  power.set(3)
  power.sleep()
  expect([power.state, one.powerState]).toEqual([0, 0])
  power.wake()
})
test("sleep ends the user's own D3hot", () => {
  const { one, power } = powerOf(0)
  power.set(3)
  power.sleep()
  power.wake()
  expect([one.powerState, one.barAddress(0)]).toEqual([0, BAR.memory])
})
test('it stays awake while its virtual functions are on, and with the parameter while nobody uses it', () => {
  const { one, power } = powerOf(0)
  power.sleep()
  power.pinned = true
  power.set(3)
  power.sleep()
  expect([one.powerState, power.sleeps]).toEqual([0, false])
  power.pinned = false
  power.idle()
  expect(one.powerState).toBe(3)
  const { power: restless } = powerOf(0, true)
  restless.idle()
  expect(restless.sleeps).toBe(false)
})
