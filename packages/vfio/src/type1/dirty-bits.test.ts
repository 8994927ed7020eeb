import { expect, test } from 'vitest'
import { DirtyBits } from './dirty-bits.ts'

const shown = (bits: DirtyBits): readonly number[] =>
  Array.from({ length: 128 }, (_, i) => i).filter((i) => bits.has(i))

test('bits are set one by one, in runs, all at once; pages are cleared', () => {
  const bits = new DirtyBits(20)
  bits.set(3)
  bits.set(7, 3)
  expect(shown(bits)).toEqual([3, 7, 8, 9])
  const wide = new DirtyBits(64)
  wide.set(5, 30)
  expect(shown(wide)).toEqual(Array.from({ length: 30 }, (_, i) => i + 5))
  bits.setAll()
  expect(shown(bits).length).toBe(20)
  bits.clear()
  expect(shown(bits)).toEqual([])
})
test('shifting goes across words, and clearing leaves what lies beyond the pages', () => {
  const bits = new DirtyBits(60)
  bits.set(0)
  bits.set(59)
  bits.shiftUp(13)
  expect(shown(bits)).toEqual([13, 72])
  bits.clear()
  expect([shown(bits), bits.words(60).length, bits.words(73).length]).toEqual([[72], 8, 16])
})
test('within its words, shifting drops what reaches beyond them', () => {
  const bits = new DirtyBits(10)
  bits.set(9)
  bits.shiftUp(50)
  expect(shown(bits)).toEqual([59])
  bits.shiftUp(50)
  expect(shown(bits)).toEqual([])
})
