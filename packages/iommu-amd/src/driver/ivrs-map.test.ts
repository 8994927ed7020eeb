import { bdf } from '@ioasis/core'
import { expect, test } from 'vitest'
import type { IvhdBlock, IvhdDevice } from '../spec/ivrs-table.ts'
import { blocksOf, SegmentMap } from './ivrs-map.ts'

const block = (devices: readonly IvhdDevice[], more: Partial<IvhdBlock> = {}): IvhdBlock => ({
  type: 0x11,
  flags: 0,
  bdf: bdf(0, 0, 2),
  capabilityOffset: 0x40,
  registers: 0xfed8_0000,
  segment: 0,
  info: 0,
  features: 0,
  devices,
  ...more,
})

test('of a unit that is described several times the last type counts', () => {
  const old = block([], { type: 0x10 })
  const now = block([], { type: 0x40 })
  expect(blocksOf([old, block([]), now])).toEqual([now])
  expect(blocksOf([])).toEqual([])
})
test('functions belong to the unit that names them last; a unit does not translate itself', () => {
  const all = block([{ kind: 'all', settings: 0 }])
  const one = block([{ kind: 'range', first: 0x100, last: 0x1ff, settings: 0 }], { bdf: bdf(0, 0, 3) })
  const map = new SegmentMap(0, [all, one])
  expect(map.lastBdf).toBe(0xffff)
  expect([map.unitOf(0x0ff), map.unitOf(0x100), map.unitOf(0x1ff), map.unitOf(0x200)]).toEqual([all, one, one, all])
  expect([map.unitOf(bdf(0, 0, 2)), map.unitOf(bdf(0, 0, 3))]).toEqual([undefined, undefined])
})
test('what nobody names is nobody’s, nor what lies beyond the last', () => {
  const map = new SegmentMap(0, [
    block([{ kind: 'select', bdf: 8, settings: 0 }]),
    block([{ kind: 'all', settings: 0 }], { segment: 1 }),
  ])
  expect([map.lastBdf, map.unitOf(7), map.unitOf(9)]).toEqual([8, undefined, undefined])
})
test('an alias range leads to its alias, which has the same unit', () => {
  const unit = block([{ kind: 'alias-range', first: 0x300, last: 0x4ff, alias: 0x400, settings: 0 }])
  const map = new SegmentMap(0, [unit])
  expect([map.aliasOf(0x301), map.aliasOf(0x400), map.aliasOf(0x10)]).toEqual([0x400, 0x400, 0x10])
  expect(map.unitOf(0x408)).toBe(unit)
})
test('settings are bits of the entry; the smallest range that names a function counts', () => {
  const map = new SegmentMap(0, [
    block([
      { kind: 'range', first: 0, last: 0xff, settings: 0xd7 },
      { kind: 'special', variety: 'ioapic', handle: 0, bdf: 0xa0, settings: 0x01 },
    ]),
  ])
  // System management mode 1, and with it write permission; INIT, EINT, NMI, LINT0, LINT1.
  expect([...(map.initialDte(0x10) ?? [])]).toEqual([0, 0x4000_0000, 0, 0x100, 0, 0xc700_0000 | 0, 0, 0])
  expect([...(map.initialDte(0xa0) ?? [])]).toEqual([0, 0, 0, 0, 0, 0x0100_0000, 0, 0])
  expect(map.initialDte(0x100)).toBeUndefined()
})
