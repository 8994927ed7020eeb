import { Pci } from '@ioasis/core'
import { expect, test } from 'vitest'
import { type ResetMethod, resetMethodOf, runReset } from './reset-method.ts'
import { Model, pciWorld } from './world.test-kit.ts'

function methodOf(models: Readonly<Record<string, Model>>, place: string): ResetMethod | undefined {
  const { host, fn } = pciWorld(models)
  return resetMethodOf(fn(place), host.get(Pci))
}
const bridge = (): Model => new Model({ bridge: true })

test('the gentlest method there is', () => {
  expect(methodOf({ '00:01.0': new Model({ express: 'flr', pm: 0 }) }, '00:01.0')).toBe('flr')
  expect(methodOf({ '00:01.0': new Model({ more: ['af'], pm: 0 }) }, '00:01.0')).toBe('af_flr')
  expect(methodOf({ '00:01.0': new Model({ pm: 0 }) }, '00:01.0')).toBe('pm')
})
test('a function that keeps its registers in D3hot, on a root bus, cannot be reset', () => {
  expect(methodOf({ '00:01.0': new Model({ pm: 8 }) }, '00:01.0')).toBeUndefined()
})
test('its bus, if it is alone there', () => {
  expect(methodOf({ '00:03.0': bridge(), '01:00.0': new Model() }, '01:00.0')).toBe('bus')
  expect(methodOf({ '00:03.0': bridge(), '01:00.0': new Model(), '01:01.0': new Model() }, '01:00.0')).toBeUndefined()
})
test.each(['flr', 'af_flr', 'pm', 'bus'] as const)('%s resets the model once', (method) => {
  const model = new Model({ express: 'flr', more: ['af'], pm: 0 })
  const { fn } = pciWorld({ '00:03.0': bridge(), '01:00.0': model })
  fn('01:00.0').writeConfig(0x84, 2, 0)
  const { resets } = model
  runReset(fn('01:00.0'), method)
  expect(model.resets - resets).toBe(1)
})
