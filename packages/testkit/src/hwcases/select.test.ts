import { expect, test } from 'vitest'
import { selected } from './select.ts'

const one = { group: 'five-level', name: 'legacy-57' }

test('no pattern selects everything', () => {
  expect(selected(one)).toBe(true)
})
test('a group name selects its cases and no group that merely begins like it', () => {
  expect(selected(one, ['five-level'])).toBe(true)
  expect(selected(one, ['five'])).toBe(false)
})
test('a glob selects among the cases of a group', () => {
  expect(selected(one, ['snoop', 'five-level/legacy-*'])).toBe(true)
  expect(selected(one, ['five-level/sm-*'])).toBe(false)
  expect(selected({ group: 'five-level', name: 'sm-legacy-57' }, ['five-level/legacy-*'])).toBe(false)
})
test('marks other than * and ? stand for themselves', () => {
  expect(selected({ group: 'g', name: 'a.b' }, ['g/a.b'])).toBe(true)
  expect(selected({ group: 'g', name: 'axb' }, ['g/a.b'])).toBe(false)
  expect(selected({ group: 'g', name: 'axb' }, ['g/a?b'])).toBe(true)
})
