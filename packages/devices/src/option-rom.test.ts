import { expect, test } from 'vitest'
import { optionRom } from './option-rom.ts'

const NIC = { vendor: 0x8086, device: 0x10d3, classCode: 0x020001 }

test('is one image that names its function', () => {
  const rom = optionRom(NIC)
  const view = new DataView(rom.buffer)
  expect(rom.length).toBe(512)
  expect(view.getUint16(0, true)).toBe(0xaa55)
  const at = view.getUint16(0x18, true)
  expect(String.fromCharCode(...rom.slice(at, at + 4))).toBe('PCIR')
  expect(view.getUint32(at + 4, true)).toBe(0x10d3_8086)
  expect(view.getUint32(at + 0x0c, true)).toBe(0x0200_0100)
  expect(view.getUint16(at + 0x10, true)).toBe(1)
  expect(rom[at + 0x15]).toBe(0x80)
})

test('begins with the known bytes and is as long as they say', () => {
  const rom = optionRom({ ...NIC, head: [0x55, 0xaa, 3, 0xe9, 1, 2, 3, 4] })
  expect(rom.length).toBe(3 * 512)
  expect(rom.slice(0, 8)).toEqual(Uint8Array.of(0x55, 0xaa, 3, 0xe9, 1, 2, 3, 4))
})

test('refuses a head that no image has', () => {
  expect(() => optionRom({ ...NIC, head: [1, 2, 3] })).toThrow(
    'option ROM head 0x1 0x2 0x3: 3 to 24 bytes are needed, 55 aa and a length of 1 to 255 first',
  )
  expect(() => optionRom({ ...NIC, head: [0x55, 0xaa] })).toThrow('option ROM head 0x55 0xaa')
  expect(() => optionRom({ ...NIC, head: [0x55, 0xaa, ...Array<number>(23).fill(1)] })).toThrow('3 to 24 bytes')
})
