import { expect, test } from 'vitest'
import { DomainIds } from './domain-ids.ts'

test('gives the lowest free id, from 1 on', () => {
  const ids = new DomainIds()
  expect([ids.take(), ids.take(), ids.take()]).toEqual([1, 2, 3])
  ids.free(2)
  expect([ids.take(), ids.take(), ids.used]).toEqual([2, 4, 4])
})
test('has 65535 of them', () => {
  const ids = new DomainIds()
  for (let i = 1; i < 65536; i++) ids.take()
  expect(() => ids.take()).toThrow('ENOSPC')
  ids.free(40_000)
  expect(ids.take()).toBe(40_000)
})
test('an id that is given back twice is a broken promise', () => {
  const ids = new DomainIds()
  expect(() => ids.free(0)).toThrow('0x0 was not in use')
  expect(() => ids.free(5)).toThrow('0x5 was not in use')
})
