import { expect, test } from 'vitest'
import { sizeOrder } from './translation-caches.ts'

test.each([
  [0, 0x1234_4001, 13],
  [0, 0x1234_7000, 16],
  [0, 0x7fff_f000, 32],
  [0, -4096, 33],
  [0x0007_ffff, -4096, 52],
  [0x7fff_ffff, -4096, 64],
  [-1, -4096, 64],
])('address %i:%i names 2^%i bytes', (hi, lo, order) => {
  expect(sizeOrder(hi, lo)).toBe(order)
})
