import { expect, test } from 'vitest'
import {
  bdf,
  formatBdf,
  type Gpa,
  type Hpa,
  hiWord,
  hpaHi,
  hpaLo,
  hpaOf,
  type Iova,
  join,
  loWord,
  parseBdf,
  split,
} from './address.ts'

test('a u64 splits into words and joins again', () => {
  split(0xfedc_ba98_7654_3210n)
  expect([hiWord() >>> 0, loWord()]).toEqual([0xfedc_ba98, 0x7654_3210])
  expect(join(hiWord(), loWord())).toBe(0xfedc_ba98_7654_3210n)
  split(-1n)
  expect(join(hiWord(), loWord())).toBe((1n << 64n) - 1n)
})

test('an hpa of 52 bits keeps every bit', () => {
  const hpa = 2 ** 52 - 4096
  expect(hpaOf(hpaHi(hpa), hpaLo(hpa))).toBe(hpa)
})

test('a function is named as lspci and sysfs name it', () => {
  expect(formatBdf(bdf(4, 31, 7))).toBe('04:1f.7')
  expect(formatBdf(0x0100, 0)).toBe('0000:01:00.0')
  expect(parseBdf('0001:0a:1f.3')).toEqual({ segment: 1, bdf: bdf(10, 31, 3) })
  expect(parseBdf('00:02.0')).toEqual({ segment: 0, bdf: 0x10 })
  expect(parseBdf('00:20.0')).toBeUndefined()
  expect(parseBdf('0:2.0')).toBeUndefined()
  expect(() => bdf(256, 0, 0)).toThrow(RangeError)
})

test('address spaces do not mix', () => {
  const gpa: Gpa = 0x1000n
  // @ts-expect-error a guest-physical address is not an I/O virtual one
  const iova: Iova = gpa
  // @ts-expect-error an iova is a bigint, a host-physical address is not
  const hpa: Hpa = iova
  expect(hpa).toBe(0x1000n)
})
