import { join } from '@ioasis/core'
import { expect, test } from 'vitest'
import { advance } from './cursor.ts'

test.each([
  [0x1000n, 1, 12, 0x2000n],
  [0xffff_f000n, 1, 12, 0x1_0000_0000n],
  [0x7fff_f000n, 2, 12, 0x8000_1000n],
  [0x1ff_c000_0000n, 512, 30, 0x27f_c000_0000n],
  [0xff_ffe0_0000n, 512, 21, 0x100_3fe0_0000n],
  [0x80_0000_0000n, 3, 39, 0x200_0000_0000n],
  [0xffff_ffff_ffff_f000n, 1, 12, 0n],
])('%i goes on by %i pages of 2^%i', (iova, count, shift, next) => {
  const at = { hi: Number(BigInt.asIntN(32, iova >> 32n)), lo: Number(BigInt.asIntN(32, iova)), run: 0, done: 0 }
  advance(at, count, shift)
  expect(join(at.hi, at.lo)).toBe(next)
})
