import { expect, test } from 'vitest'
import { bitsOf, field, get, mask64, put } from './bits.ts'

test('a field is read and written where the specification prints it', () => {
  const aw = field(2, 0)
  const source = field(15, 0)
  const reason = field(39, 32)
  expect(get(aw, 0b1101, 0)).toBe(0b101)
  expect(get(source, 0x0001_0010, 0)).toBe(0x10)
  expect(get(reason, 0, 0x8000_0005)).toBe(5)
  expect(put(aw, 0b1000, 0b1111)).toBe(0b1111)
  expect(put(field(31, 12), 0xfff, 0xabcde)).toBe(0xabcde_fff | 0)
})

test('a whole word and the top bit are fields too', () => {
  expect(get(field(63, 32), 0, -1)).toBe(0xffff_ffff)
  expect(get(field(63), 0, -2147483648)).toBe(1)
  expect(bitsOf(field(63))).toBe(-2147483648)
})

test('a field that straddles the words is refused', () => {
  expect(() => field(35, 30)).toThrow('field [35:30] is not inside one 32-bit word')
  expect(() => field(1, 5)).toThrow(RangeError)
})

test('a mask of a range of bits comes as two words', () => {
  expect(mask64(51, 12).map((w) => w >>> 0)).toEqual([0xffff_f000, 0x000f_ffff])
  expect(mask64(63, 63).map((w) => w >>> 0)).toEqual([0, 0x8000_0000])
})
