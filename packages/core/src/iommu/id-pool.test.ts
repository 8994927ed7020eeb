import { expect, test } from 'vitest'
import { IdPool } from './id-pool.ts'

test('gives the lowest free id first, from the first on', () => {
  const ids = new IdPool('test id', 1, 256)
  expect([ids.take(), ids.take(), ids.take()]).toEqual([1, 2, 3])
  ids.free(2)
  expect([ids.take(), ids.take(), ids.used]).toEqual([2, 4, 4])
})

test('a count that is no multiple of 32 ends where it says, with ENOSPC', () => {
  const ids = new IdPool('test id', 0, 33)
  const taken = Array.from({ length: 33 }, () => ids.take())
  expect(taken.at(-1)).toBe(32)
  expect(() => ids.take()).toThrow('ENOSPC')
})

test('an id that is not in use, or never is, cannot be given back', () => {
  const ids = new IdPool('test id', 2, 64)
  expect(() => ids.free(2)).toThrow('test id 0x2 was not in use')
  expect(() => ids.free(0)).toThrow('not in use')
  expect(() => ids.free(64)).toThrow('not in use')
})
