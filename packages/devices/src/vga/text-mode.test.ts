import { expect, test } from 'vitest'
import { TEXT_MODE } from './text-mode.ts'

test('has the sixteen colours of a console, brown among them, and the 64 of an EGA behind', () => {
  expect(TEXT_MODE.palette).toHaveLength(64)
  expect(TEXT_MODE.palette.slice(4, 9)).toEqual([
    [0x2a, 0, 0],
    [0x2a, 0, 0x2a],
    [0x2a, 0x15, 0],
    [0x2a, 0x2a, 0x2a],
    [0x15, 0x15, 0x15],
  ])
  expect([TEXT_MODE.palette[15], TEXT_MODE.palette[20], TEXT_MODE.palette[63]]).toEqual([
    [0x3f, 0x3f, 0x3f],
    [0x2a, 0x15, 0],
    [0x3f, 0x3f, 0x3f],
  ])
})
