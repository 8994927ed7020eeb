import { expect, test } from 'vitest'
import { Part } from './file-part.ts'

const part = new Part('a.json', {
  text: 'x',
  count: 2,
  list: [{}],
  texts: ['a'],
  table: { k: 'v' },
  rows: [['1', '2', '3']],
})

test('reads each kind', () => {
  expect(part.text('text')).toBe('x')
  expect(part.number('count')).toBe(2)
  expect(part.list('list')[0]?.name).toBe('a.json: list[0]')
  expect(part.texts('texts')).toEqual(['a'])
  expect(part.table('table')).toEqual({ k: 'v' })
  expect(part.rows('rows')).toEqual([['1', '2', '3']])
  expect(part.bytes('b', '01ff')).toEqual(Uint8Array.of(1, 0xff))
})

test('refuses what is missing or of another kind', () => {
  expect(() => part.text('gone')).toThrow(/^a\.json: "gone" is missing$/)
  expect(() => part.text('toString')).toThrow('"toString" is missing')
  expect(() => part.text('count')).toThrow('a.json: "count" is 2; a string is needed')
  expect(() => part.number('text')).toThrow('a.json: "text" is "x"; a whole number is needed')
  expect(() => part.list('text')).toThrow('a list is needed')
  expect(() => part.texts('list')).toThrow('a.json: "list" is {}; strings are needed')
  expect(() => part.rows('texts')).toThrow('a list of three is needed')
  expect(() => part.table('text')).toThrow('a.json: text: "x" is not an object')
  expect(() => part.bytes('b', '0g')).toThrow('hexadecimal digits in pairs are needed')
})

test('shows long values cut', () => {
  expect(() => new Part('a.json', 'y'.repeat(100))).toThrow(`a.json: "${'y'.repeat(59)}… is not an object`)
})
