import { UserFrames } from '@ioasis/core'
import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { PagePins } from './page-pins.ts'

test('a page goes with its last user', () => {
  const { vmm, host } = vfioWorld()
  const { addressSpace } = vmm.process
  const pins = new PagePins()
  const hpa = pins.pin(5, addressSpace, vmm.mmap({ bytes: 4096 }), true)
  expect([pins.again(5), pins.again(6), pins.pages, pins.kept]).toEqual([hpa, undefined, [5], [hpa]])
  expect([pins.unpin(5, addressSpace), pins.unpin(5, addressSpace), pins.unpin(5, addressSpace)]).toEqual([
    false,
    true,
    false,
  ])
  expect(host.get(UserFrames).pinned).toBe(0)
})
