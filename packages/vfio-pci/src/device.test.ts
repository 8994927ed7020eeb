import { expect, test } from 'vitest'
import { Model, pciWorld } from './world.test-kit.ts'

test('a function that nobody opened sleeps', () => {
  const { fn, device } = pciWorld({ '00:01.0': new Model({ pm: 0 }) })
  expect([fn('00:01.0').powerState, device().session, device().own?.name]).toEqual([3, undefined, '0000:00:01.0'])
})
test('a reset keeps what the kernel keeps', () => {
  const model = new Model({ pm: 0 })
  const { device, fn } = pciWorld({ '00:01.0': model })
  device().power.wake()
  const [bar, resets] = [fn('00:01.0').barRegister(0), model.resets]
  expect([device().tryReset(), fn('00:01.0').barRegister(0), model.resets - resets]).toEqual([undefined, bar, 1])
  expect([device().runReset(), fn('00:01.0').barRegister(0)]).toEqual([true, 0])
})
test('a display is known by its class', () => {
  const { device } = pciWorld({ '00:01.0': new Model({ classCode: 0x0300 }), '00:02.0': new Model() })
  expect([device('00:01.0').isVga, device('00:02.0').isVga]).toEqual([true, false])
})
