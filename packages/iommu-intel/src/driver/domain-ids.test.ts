import { UapiError } from '@ioasis/core'
import { expect, test } from 'vitest'
import { DomainIds } from './domain-ids.ts'

test('gives the lowest free id first, from 2 on', () => {
  const ids = new DomainIds('dmar0', 256)
  expect([ids.take(), ids.take(), ids.take()]).toEqual([2, 3, 4])
  ids.free(3)
  expect(ids.take()).toBe(3)
  expect(ids.take()).toBe(5)
  expect(ids.used).toBe(4)
})

test('a unit of 16 ids has 14 for paging domains, then ENOSPC', () => {
  const ids = new DomainIds('dmar0', 16)
  const taken = Array.from({ length: 14 }, () => ids.take())
  expect(taken.at(-1)).toBe(15)
  expect(() => ids.take()).toThrow(UapiError)
  expect(() => ids.take()).toThrow('ENOSPC')
  ids.free(9)
  expect(ids.take()).toBe(9)
})

test('takes ids beyond the first word, and finds one given back before it', () => {
  const ids = new DomainIds('dmar0', 65536)
  for (let i = 0; i < 100; i++) ids.take()
  expect(ids.take()).toBe(102)
  ids.free(40)
  expect(ids.take()).toBe(40)
  expect(ids.take()).toBe(103)
})

test('an id that is not in use cannot be given back', () => {
  const ids = new DomainIds('dmar0', 256)
  expect(() => ids.free(2)).toThrow('domain id 0x2 was not in use')
  expect(() => ids.free(1)).toThrow('not in use')
})
