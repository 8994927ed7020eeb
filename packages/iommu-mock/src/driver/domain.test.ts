import { flushGather, pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { Walk } from '../hw/walk.ts'
import { mockWorld } from '../mock-world.test-kit.ts'

const RW = { read: true, write: true }
const ALL = { first: 0n, last: 0x7fff_ffffn }

/**
 * drivers/iommu/generic_pt/iommu_pt.h record_dirty takes a page's last entry for its end. A page of four entries that is marked
 * tells three; one of a single entry tells itself.
 */
test('of a page that takes several entries all but the last are told', () => {
  const world = mockWorld()
  const domain = world.domain()
  domain.map(0x100_0000n, pageRuns([0x20_0000, 0x2000], [0x30_0800, 0x800]), RW)
  const walk = new Walk(world.memory)
  for (const iova of [0x100_1800, 0x100_2000]) {
    expect(walk.find(domain.root, 0, iova)).toBe(true)
    walk.markDirty()
  }
  const read = (clear: boolean): readonly (readonly [bigint, bigint])[] => {
    const told: (readonly [bigint, bigint])[] = []
    domain.dirty?.read(ALL, (iova, bytes) => told.push([iova, bytes]), { clear, gather: flushGather() })
    return told
  }
  expect(read(false)).toEqual([
    [0x100_0000n, 0x1800n],
    [0x100_2000n, 0x800n],
  ])
  expect([read(true).length, read(true)]).toEqual([2, []])
})

test('is not freed while it is attached', () => {
  const domain = mockWorld().domain(1, false)
  domain.attached++
  expect(() => domain.free()).toThrow('freed while it is attached')
  domain.attached--
  domain.free()
  expect(domain.dirty).toBeUndefined()
})
