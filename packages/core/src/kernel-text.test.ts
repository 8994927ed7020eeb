import { expect, test } from 'vitest'
import { switchText, unsignedText } from './kernel-text.ts'

test('numbers come in three bases, with one newline', () => {
  expect(['8\n', '0x1F', '010', '+7', '0'].map((text) => unsignedText(text, 16))).toEqual([8, 31, 8, 7, 0])
})
test('what is no number, or does not fit, is none', () => {
  expect(['', '-1', '8 ', '8\n\n', '09', '65536', 'x'].map((text) => unsignedText(text, 16))).toEqual(
    Array(7).fill(undefined),
  )
})
test('a switch goes by its first letter', () => {
  expect(['Y\n', 'true', '1', 'on'].map(switchText)).toEqual([true, true, true, true])
  expect(['n', 'False', '0', 'off'].map(switchText)).toEqual([false, false, false, false])
  expect(['', 'o', '2', 'x'].map(switchText)).toEqual(Array(4).fill(undefined))
})
