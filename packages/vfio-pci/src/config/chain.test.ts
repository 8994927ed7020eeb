import { Pci } from '@ioasis/core'
import { expect, test } from 'vitest'
import { AT, Model, pciWorld } from '../world.test-kit.ts'
import { BASIC, startOf, UNASSIGNED, userView } from './chain.ts'
import { put } from './permission.ts'

function viewOf(model: Model) {
  const { host } = pciWorld({ '00:01.0': model })
  return userView(host.get(Pci).get('00:01.0'))
}

test('each byte belongs to the header, a capability or nothing', () => {
  const { owner } = viewOf(new Model({ pm: 0, msi: 0x80 }))
  expect([owner[0x3f], owner[AT.pm], owner[AT.pm + 7], owner[AT.pm + 8]]).toEqual([BASIC, 1, 1, UNASSIGNED])
  expect([owner[AT.msi + 13], owner[AT.msi + 14], startOf(owner, AT.msi + 5)]).toEqual([5, UNASSIGNED, AT.msi])
})
test('a capability that users may not see is linked around', () => {
  const model = new Model({ pm: 0, msi: 0x80 })
  model.config[AT.pm] = 0x0d
  const { virtual, owner } = viewOf(model)
  expect([virtual[0x34], owner[AT.pm]]).toEqual([AT.msi, UNASSIGNED])
})
test('with nothing to see there is no list', () => {
  const model = new Model({ pm: 0 })
  model.config[AT.pm] = 0x0d
  expect(viewOf(model).virtual[6]).toBe(0)
})
test('power management events are hidden', () => {
  const { virtual } = viewOf(new Model({ pm: 0 }))
  expect([virtual[AT.pm + 2], virtual[AT.pm + 3]]).toEqual([0x02, 0x00])
})
test('a hidden first extended capability stays as the empty anchor of the list', () => {
  const model = new Model({ express: true })
  put(model.config, AT.aer, 4, 0x1401_001b)
  const { virtual, owner } = viewOf(model)
  expect([[...virtual.subarray(0x100, 0x104)], owner[AT.dsn]]).toEqual([[0, 0, 0, 0x14], 3])
})
test('behind a bridge that answers with ones nothing is a capability', () => {
  const model = new Model({ express: true })
  model.config.fill(0xff, 0x100)
  const { owner, virtual } = viewOf(model)
  expect([owner[0x100], [...virtual.subarray(0x100, 0x104)]]).toEqual([UNASSIGNED, [0, 0, 0, 0]])
})
