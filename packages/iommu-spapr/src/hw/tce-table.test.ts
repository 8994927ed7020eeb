import { beforeEach, expect, test } from 'vitest'
import { TceTable } from './tce-table.ts'

/** 2^28 entries of 64 KiB from bit 59 on: 16 TiB. */
const ENTRIES = 2 ** 28
let table: TceTable
beforeEach(() => {
  table = new TceTable(0x8000_0001)
  table.enable(1n << 59n, 16, ENTRIES)
})
const at = (index: number): readonly number[] => {
  table.get(index)
  return [table.hi, table.lo]
}

test('an address names its entry wherever in the page it lies, and none outside', () => {
  expect(table.indexOf(0x800_0000, 0x1_ffff)).toBe(1)
  expect(table.indexOf(0x800_0fff, 0xffff_ffff | 0)).toBe(ENTRIES - 1)
  expect([table.indexOf(0x800_1000, 0), table.indexOf(0, 0x1_0000)]).toEqual([-1, -1])
})
test('entries nobody wrote are 0; others come back', () => {
  table.put(ENTRIES - 1, 5, 0x1003)
  expect([at(0), at(ENTRIES - 1), at(ENTRIES - 2)]).toEqual([
    [0, 0],
    [5, 0x1003],
    [0, 0],
  ])
})
test('filling crosses pieces and ends where it should', () => {
  table.fill(4090, 10_000, 0, 0x500)
  expect([at(4089), at(4090), at(14_089), at(14_090)]).toEqual([
    [0, 0],
    [0, 0x500],
    [0, 0x500],
    [0, 0],
  ])
  table.fill(4091, 9998, 0, 0)
  expect([at(4090), at(4091), at(8192), at(14_088), at(14_089)]).toEqual([
    [0, 0x500],
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0x500],
  ])
})
test('a table that is enabled again is empty, one that is not has no entries', () => {
  table.put(3, 0, 0x1003)
  table.enable(0n, 12, 16)
  expect([at(3), table.indexOf(0, 0xf000), table.indexOf(0, 0x1_0000)]).toEqual([[0, 0], 15, -1])
  table.disable()
  expect(table.indexOf(0, 0)).toBe(-1)
})
