import { expect, test } from 'vitest'
import { jsonError } from './json-position.ts'

test('finds nothing wrong with JSON', () => {
  expect(jsonError(' {"a": [1, -2.5e3, "x\\n\\u00e9", true, null, {}], "b": []} ')).toBeUndefined()
})

test('tells the place of the first character that does not fit', () => {
  expect(jsonError('{\n  "a": 1,\n  "b" 2\n}')).toEqual({ line: 3, column: 7 })
  expect(jsonError('[1, 2,]')).toEqual({ line: 1, column: 7 })
  expect(jsonError('{"a": 1} x')).toEqual({ line: 1, column: 10 })
  expect(jsonError('{"a": 01}')).toEqual({ line: 1, column: 8 })
})

test('tells the end of a text that is cut', () => {
  expect(jsonError('{"a": [1, 2')).toEqual({ line: 1, column: 12 })
  expect(jsonError('')).toEqual({ line: 1, column: 1 })
})
