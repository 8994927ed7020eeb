import { expect, test } from 'vitest'
import type { Registers } from './io-access.ts'
import { romBytes } from './rom.ts'

/** Images of so many sectors each; the last one says so. */
export function images(...sectors: readonly number[]): Uint8Array {
  const rom = new Uint8Array(sectors.reduce((sum, n) => sum + n, 0) * 512)
  let at = 0
  sectors.forEach((n, i) => {
    rom.set([0x55, 0xaa], at)
    rom[at + 0x18] = 0x1c
    rom.set([0x50, 0x43, 0x49, 0x52], at + 0x1c)
    rom[at + 0x1c + 0x10] = n
    rom[at + 0x1c + 0x15] = i === sectors.length - 1 ? 0x80 : 0
    at += n * 512
  })
  return rom
}
const registers = (bytes: Uint8Array): Registers => ({
  load: (at, size) => {
    let value = 0n
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0xff)
    return value
  },
  store: () => undefined,
})

test('the images count, not the BAR', () => {
  expect(romBytes(registers(images(2)), 0x10000)).toBe(1024)
  expect(romBytes(registers(images(1, 2)), 0x10000)).toBe(1536)
})
test('without a valid image there is nothing', () => {
  expect(romBytes(registers(new Uint8Array(512)), 0x10000)).toBe(0)
  const broken = images(1)
  broken[0x1c] = 0
  expect(romBytes(registers(broken), 0x10000)).toBe(0)
})
test('never more than the BAR', () => {
  expect(romBytes(registers(images(8)), 2048)).toBe(2048)
})
