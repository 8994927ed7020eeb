import { Pci } from '@ioasis/core'
import { expect, test } from 'vitest'
import { assigned, canMap, memoryRanges, resourcesOf } from './resources.ts'
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
    canMap(bar, 4096, [{ first: 0x1000, end: 0x1100 }]),
    canMap(bar, 4096, [{ first: 0x1800, end: 0x1900 }]),
    canMap({ ...bar, start: 0x1100 }, 4096, []),
    canMap({ ...bar, space: 'io' }, 4096, []),
    canMap({ ...bar, start: 0x1000, size: 0x1000 }, 4096, [{ first: 0x1000, end: 0x2000 }]),
  ]).toEqual([true, false, false, false, true])
})
test('memory of functions that was given an address', () => {
  const { host, fn } = pciWorld({ '00:01.0': new Model({ bars: ['memory', 'io'] }) })
  expect(memoryRanges(host.get(Pci).functions)).toEqual([{ first: BAR.memory, end: BAR.memory + 0x2000 }])
  expect(fn('00:01.0').romShadow).toBeUndefined()
})
test('the boot display has its ROM in memory', () => {
  const { fn } = pciWorld({ '00:01.0': new Model({ classCode: 0x0300, bars: ['memory', 'rom'] }) })
  const rom = resourcesOf(fn('00:01.0')).filter(({ index }) => index === 6)
  expect(rom.map(({ start, size }) => [start, size])).toEqual([[0xc_0000, 0x2_0000]])
})
