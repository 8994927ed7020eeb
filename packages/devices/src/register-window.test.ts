import { expect, test } from 'vitest'
import { wordWindow } from './register-window.ts'

const four = () => {
  const words = new Uint32Array(4)
  const window = wordWindow({
    load: (offset) => words[offset / 4] as number,
    store: (offset, value) => {
      words[offset / 4] = value
    },
  })
  return { words, window }
}

test('an 8-byte access is two words, the lower one first', () => {
  const { words, window } = four()
  window.store(8, 8, 0x1122_3344_5566_7788n)
  expect([...words]).toEqual([0, 0, 0x5566_7788, 0x1122_3344])
  expect(window.load(8, 8)).toBe(0x1122_3344_5566_7788n)
})

test('a narrow access is part of a word and leaves the rest', () => {
  const { words, window } = four()
  window.store(0, 4, 0x1122_3344n)
  window.store(2, 2, 0xaabbn)
  window.store(1, 1, 0xccn)
  expect(words[0]).toBe(0xaabb_cc44)
  expect(window.load(3, 1)).toBe(0xaan)
  expect(window.load(0, 2)).toBe(0xcc44n)
})
