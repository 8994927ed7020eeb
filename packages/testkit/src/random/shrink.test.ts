import { expect, test } from 'vitest'
import { shrink } from './shrink.ts'

const numbers = Array.from({ length: 200 }, (_, i) => i)
const needsThree = (list: readonly number[]): boolean => [3, 77, 150].every((n) => list.includes(n))

test('what is left is what the failure needs, in its order', () => {
  expect(shrink(numbers, needsThree)).toEqual([3, 77, 150])
})

test('a list that fails whatever is in it shrinks to nothing', () => {
  expect(shrink(numbers, () => true)).toEqual([])
})

test('the budget bounds the work, and what is left still fails', () => {
  let tried = 0
  const fails = (list: readonly number[]): boolean => ++tried > 0 && list.includes(199)
  const left = shrink(numbers, fails, 5)
  expect(tried).toBe(5)
  expect(left).toContain(199)
})
