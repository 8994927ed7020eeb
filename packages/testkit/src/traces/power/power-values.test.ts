import { expect, test } from 'vitest'
import { PowerValues } from './power-values.ts'

const values = new PowerValues(65536)
values.set('m', 0x100_0000_0000n)
values.bind('c', 5)

const read = (text: string): string => values.number(text).toString(16)

test('numbers with suffixes, names, sums of products', () => {
  expect(['0x10', '64K', '1T', 'PAGE', 'm+PAGE*4', 'm-PAGE', '0-PAGE', 'm+PAGE*2-1'].map(read)).toEqual([
    '10',
    '10000',
    '10000000000',
    '10000',
    '10000040000',
    'ffffff0000',
    '-10000',
    '1000001ffff',
  ])
})
test('a name that is undefined stands for 0', () => {
  expect([values.number('w'), values.number('w+0x1000000-PAGE')]).toEqual([0n, 0xff0000n])
})
test('descriptors by name or number', () => {
  expect([values.fd('c'), values.fd('99'), values.fd('gone')]).toEqual([5, 99, -1])
})
