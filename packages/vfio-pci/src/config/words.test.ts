import { expect, test } from 'vitest'
import { dword, setDword, setWord, word } from './words.ts'

test('fields are little-endian and unsigned', () => {
  const bytes = new Uint8Array(4)
  setDword(bytes, 0, 0xfedc_ba98)
  setWord(bytes, 2, 0x1234)
  expect([dword(bytes, 0), word(bytes, 1)]).toEqual([0x1234_ba98, 0x34ba])
})
