import { expect, test } from 'vitest'
import { bytesTogether } from './bytes-together.ts'

const OWNER = 0x1_0000
const PAGE = 0x1000
const words = new Int32Array(4 * 512 * 8)
const setOf = (lo: number): number => ((lo >>> 12) ^ (Math.imul(OWNER, 0x9e37_79b1) >>> 16)) & 511

/** Puts a leaf into way 0. @returns where */
function put(iova: number, hpa: number, flags = 3): number {
  const at = setOf(iova) << 3
  words.set([iova, 0, OWNER, hpa | flags, 0], at)
  return at
}

test('pages that hit and lie behind one another answer as one, up to what is asked for', () => {
  words.fill(0)
  const first = put(0x10_0000, 0x20_0000)
  for (let i = 1; i < 32; i++) put(0x10_0000 + i * PAGE, 0x20_0000 + i * PAGE)
  expect(bytesTogether(words, first, PAGE - 8, 2 * PAGE)).toBe(2 * PAGE)
  expect(bytesTogether(words, first, PAGE, 0x8000_0000)).toBe(0x1_0000)
})

test('a page that lies elsewhere, allows less or is not there ends it', () => {
  words.fill(0)
  const first = put(0x10_0000, 0x20_0000)
  expect(bytesTogether(words, first, PAGE, 0x1_0000)).toBe(PAGE)
  put(0x10_1000, 0x20_2000)
  expect(bytesTogether(words, first, PAGE, 0x1_0000)).toBe(PAGE)
  put(0x10_1000, 0x20_1000, 1)
  expect(bytesTogether(words, first, PAGE, 0x1_0000)).toBe(PAGE)
  put(0x10_1000, 0x20_1000)
  expect(bytesTogether(words, first, 8, 0x1_0000)).toBe(8 + PAGE)
})
