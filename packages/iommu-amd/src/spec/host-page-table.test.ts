import { expect, test } from 'vitest'
import { levelShift, sizedLeafShift } from './host-page-table.ts'

/** 48882 "Example Page Size Encodings": address bits and page size. */
test.each([
  [0, 0x0000_0000, 13],
  [0, 0x0000_1000, 14],
  [0, 0x0000_7000, 16],
  [0, 0x000f_f000, 21],
  [0, 0x001f_f000, 22],
  [0, 0x7fff_f000, 32],
  [0, -4096, 33],
  [0x3f, -4096, 39],
  [0x7_ffff, -4096, 52],
  [0xf_ffff, -4096, undefined],
])('address %i:%i is a page of 2^%s bytes', (hi, lo, shift) => {
  expect(sizedLeafShift(hi, lo)).toBe(shift)
})
test('each level takes nine bits', () => {
  expect([1, 2, 3, 6].map(levelShift)).toEqual([12, 21, 30, 57])
})
