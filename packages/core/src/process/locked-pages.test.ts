import { expect, test } from 'vitest'
import { LockedPages } from './locked-pages.ts'

test('charges up to the limit and not beyond; a refused charge changes nothing', () => {
  const locked = new LockedPages()
  locked.charge(3, 4, 'test')
  expect(() => locked.charge(2, 4, 'test')).toThrow('test: ENOMEM pages=0x2 locked=0x3 limit=0x4')
  locked.charge(1, 4, 'test')
  locked.charge(5, Infinity, 'test')
  expect(locked.pages).toBe(9)
  locked.uncharge(9)
  expect(() => locked.uncharge(1)).toThrow(/1 come back of 0/)
})
