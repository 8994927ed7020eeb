import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { MappingOwner } from './owner.ts'

test('the limit is the process’s of now, unless it was privileged when it mapped', () => {
  const { spawn } = vfioWorld()
  const poor = spawn({ capabilities: [], limits: { memlock: 0x3000 } })
  const owner = new MappingOwner(poor.caller)
  expect([owner.space, owner.limit]).toEqual([poor.process.addressSpace, 3])
  poor.process.limits = { ...poor.process.limits, memlock: 0x5000 }
  expect(owner.limit).toBe(5)
  const root = spawn()
  const before = new MappingOwner(root.caller)
  root.process.credentials = { uid: 1, gid: 1, capabilities: new Set() }
  expect([before.limit, before.limitOf(poor.process)]).toEqual([Infinity, Infinity])
})
