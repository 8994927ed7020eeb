import { expect, test } from 'vitest'
import { readRegisters, type Registers, writeRegisters } from './io-access.ts'

function counting() {
  const pieces: string[] = []
  const registers: Registers = {
    load: (at, size) => {
      pieces.push(`${at}+${size}`)
      return 0x0807_0605_0403_0201n & ((1n << BigInt(8 * size)) - 1n)
    },
    store: (at, size, value) => pieces.push(`${at}+${size}=${value.toString(16)}`),
  }
  return { pieces, registers }
}
const NONE = { first: 0, end: 0 }

test('the widest aligned pieces', () => {
  const { pieces, registers } = counting()
  readRegisters(registers, 1, new Uint8Array(16), { widest: 8, hidden: NONE })
  expect(pieces).toEqual(['1+1', '2+2', '4+4', '8+8', '16+1'])
})
test('never wider than allowed', () => {
  const { pieces, registers } = counting()
  writeRegisters(registers, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), { widest: 4, hidden: NONE })
  expect(pieces).toEqual(['0+4=4030201', '4+4=8070605'])
})
test('a hidden range reads as ones, and writes to it are lost', () => {
  const { pieces, registers } = counting()
  const into = new Uint8Array(12)
  readRegisters(registers, 0, into, { widest: 8, hidden: { first: 4, end: 8 } })
  expect([[...into], pieces]).toEqual([
    [1, 2, 3, 4, 255, 255, 255, 255, 1, 2, 3, 4],
    ['0+4', '8+4'],
  ])
  writeRegisters(registers, 4, into.subarray(0, 4), { widest: 8, hidden: { first: 4, end: 8 } })
  expect(pieces.length).toBe(2)
})
