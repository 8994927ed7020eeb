import { expect, test } from 'vitest'
import { testBus } from '../pci/pci-models.test-kit.ts'
import { idMatches, idsOf } from './pci-id.ts'

test('members left out match everything', () => {
  const fn = testBus().put(0, 1, 0)
  expect([idMatches({}, fn), idMatches({ vendor: 0x1234 }, fn), idMatches({ vendor: 0x1234, device: 1 }, fn)]).toEqual([
    true,
    true,
    false,
  ])
})
test('the class is compared under its mask', () => {
  const fn = testBus().put(0, 1, 0)
  fn.config.set([0x02, 0x08, 0x01], 9)
  expect(idsOf(fn).class).toBe(0x010802)
  expect(idMatches({ class: 0x010000, classMask: 0xff0000 }, fn)).toBe(true)
  expect(idMatches({ class: 0x010800 }, fn)).toBe(false)
})
test('a bridge without a subsystem capability has subsystem 0', () => {
  const fn = testBus().put(0, 1, 0, { port: 4, bridge: [1, 1] })
  expect([idsOf(fn).subvendor, idsOf(fn).subdevice]).toEqual([0, 0])
})
