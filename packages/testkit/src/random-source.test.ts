import { expect, test } from 'vitest'
import { RandomSource } from './random-source.ts'

const draw = (seed: number, n: number): number[] => {
  const random = new RandomSource(seed)
  return Array.from({ length: n }, () => random.next())
}

test('one seed gives one stream', () => {
  expect(draw(7, 20)).toEqual(draw(7, 20))
  expect(draw(7, 20)).not.toEqual(draw(8, 20))
})

test('the stream is the published one: mulberry32 of seed 0', () => {
  expect(draw(0, 3)).toEqual([1144304738, 1416247, 958946056])
})

test('numbers stay below the bound and reach all of it', () => {
  const random = new RandomSource(1)
  const seen = new Set(Array.from({ length: 400 }, () => random.below(8)))
  expect([...seen].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
})

test('picking from nothing is refused', () => {
  expect(() => new RandomSource(1).pick([])).toThrow('nothing to pick from')
})
