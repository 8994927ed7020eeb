import { expect, test } from 'vitest'
import { assigned, canMap, resourcesOf } from './resources.ts'
import { BAR, Model, pciWorld } from './world.test-kit.ts'

test('BARs with the addresses the host gave them', () => {
  const { fn } = pciWorld({ '00:01.0': new Model({ bars: ['memory', 'io', 'wide', 'rom'] }) })
  const resources = resourcesOf(fn('00:01.0'))
  expect(resources.map(({ index, start, flags }) => [index, start, flags])).toEqual([
    [0, BAR.memory, 0],
    [1, BAR.io, 1],
    [2, BAR.wide, 0xc],
    [6, BAR.rom, 0],
  ])
  expect([assigned(resources, 3), assigned(resources, 1)?.size]).toEqual([undefined, 0x20])
})
test('whole pages can be mapped, and a small BAR that has its page for itself', () => {
  const bar = { index: 0, start: 0x1000, size: 0x100, flags: 0, space: 'memory', wide: false } as const
  expect([
    canMap(bar, 4096n),
    canMap({ ...bar, start: 0x1100 }, 4096n),
    canMap({ ...bar, space: 'io' }, 4096n),
  ]).toEqual([true, false, false])
})
