import { expect, test } from 'vitest'
import { hexDump, styleOf, table, toJson, wantsColour } from './terminal.ts'

test('colours: on a terminal; FORCE_COLOR and NO_COLOR decide otherwise, NO_COLOR over all', () => {
  expect(wantsColour({}, true)).toBe(true)
  expect(wantsColour({}, false)).toBe(false)
  expect(wantsColour({ NO_COLOR: '1' }, true)).toBe(false)
  expect(wantsColour({ NO_COLOR: '' }, true)).toBe(true)
  expect(wantsColour({ FORCE_COLOR: '1' }, false)).toBe(true)
  expect(wantsColour({ FORCE_COLOR: '0' }, true)).toBe(false)
  expect(wantsColour({ FORCE_COLOR: '1', NO_COLOR: '1' }, true)).toBe(false)
})

test('styles give text back as it is without colours', () => {
  expect(styleOf(false).bad('no')).toBe('no')
  expect(styleOf(true).bad('no')).toBe('\u001B[31mno\u001B[39m')
})

test('columns are as wide as their widest cell, without blanks at the end', () => {
  expect(
    table([
      ['name', 'count'],
      ['longer name', ''],
    ]),
  ).toEqual(['name         count', 'longer name'])
  expect(table([])).toEqual([])
})

test('bytes are shown 16 to a line with their offset, on request with their characters', () => {
  const bytes = Uint8Array.from({ length: 18 }, (_, i) => 0x30 + i)
  expect(hexDump(bytes, 0x1000)).toEqual([
    '00001000  30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f',
    '00001010  40 41',
  ])
  expect(hexDump(Uint8Array.of(0x41, 0, 0x7f, 0x20), 0, true)).toEqual(['00000000  41 00 7f 20  |A.. |'])
})

test('JSON holds wide numbers as hexadecimal strings', () => {
  expect(JSON.parse(toJson({ iova: 0xfee0_0000n, list: [1n, 2] }))).toEqual({ iova: '0xfee00000', list: ['0x1', 2] })
})
