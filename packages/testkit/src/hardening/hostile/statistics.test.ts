import { expect, test } from 'vitest'
import { Statistics } from './statistics.ts'

test('counts by command and error, and adds up', () => {
  const one = new Statistics()
  one.count('A', undefined)
  one.count('A', 'EINVAL')
  const two = new Statistics()
  two.count('A', 'EINVAL')
  two.count('B', undefined)
  two.calls = 5
  one.add(two)
  expect([one.calls, one.share('A'), one.share('B'), one.share('C')]).toEqual([5, 1 / 3, 1, 1])
  expect(one.table.split('\n').map((line) => line.replace(/\s+/g, ' '))).toEqual(['A 3 33 % EINVAL 2', 'B 1 100 % '])
})
