import { expect, test } from 'vitest'
import { PageIndex } from './page-index.ts'

test('holds pages at any index and gives 0 for the rest', () => {
  const index = new PageIndex()
  index.set(0, 0x1000)
  index.set(511, 0x2000)
  index.set(2 ** 40, 0x3000)
  expect([0, 1, 511, 512, 2 ** 40, 2 ** 41].map((i) => index.get(i))).toEqual([0x1000, 0, 0x2000, 0, 0x3000, 0])
  index.set(0, 0)
  expect(index.get(0)).toBe(0)
})
test('visits the pages of a range, which may be removed meanwhile', () => {
  const index = new PageIndex()
  for (const i of [3, 510, 512, 700, 5000]) index.set(i, i * 4096)
  const seen: number[] = []
  index.each(
    (i, hpa) => {
      seen.push(i, hpa / 4096)
      index.set(i, 0)
    },
    4,
    697,
  )
  expect(seen).toEqual([510, 510, 512, 512, 700, 700])
  const left: number[] = []
  index.each((i) => left.push(i))
  expect(left).toEqual([3, 5000])
})
