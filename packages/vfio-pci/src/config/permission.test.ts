import type { PciFunction } from '@ioasis/core'
import { expect, test } from 'vitest'
import { ALL, byBits, direct, get, NONE, permission, put } from './permission.ts'

/** Hardware of bytes that keep everything. */
function hardware(bytes: number) {
  const config = new Uint8Array(bytes).fill(0x11)
  const fn = {
    readConfig: (at: number, size: 1 | 2 | 4) => get(config, at, size),
    writeConfig: (at: number, size: 1 | 2 | 4, value: number) => put(config, at, size, value),
  } as unknown as PciFunction
  return { config, target: { fn, virtual: new Uint8Array(bytes).fill(0x22) } }
}
const chunk = (pos: number, count: 1 | 2 | 4, offset = pos) => ({ pos, count, offset })

test('each bit is read where it lives', () => {
  const rules = byBits(permission(4, [[0, 2, 0x00ff, NONE]]))
  const { target } = hardware(4)
  expect([rules.read(target, chunk(0, 2)), rules.read(target, chunk(0, 4))]).toEqual([0x1122, 0x1111_1122])
})
test('writable bits go where they live, the others stay', () => {
  const rules = byBits(permission(4, [[0, 4, 0xffff, 0x00ff_00ff]]))
  const { target, config } = hardware(4)
  rules.write(target, chunk(0, 4), ALL)
  expect([[...target.virtual], [...config]]).toEqual([
    [0xff, 0x22, 0x22, 0x22],
    [0x11, 0x11, 0xff, 0x11],
  ])
})
test("read-only capabilities show the hardware, but the user's own links", () => {
  const { target } = hardware(0x200)
  const read = (pos: number, count: 1 | 2 | 4, offset: number): number => direct.read(target, chunk(pos, count, offset))
  expect([read(0x40, 4, 0), read(0x41, 1, 1), read(0x44, 4, 4), read(0x100, 4, 0), read(0x104, 4, 4)]).toEqual([
    0x1111_2222, 0x22, 0x1111_1111, 0x2222_2222, 0x1111_1111,
  ])
  expect(direct.write).toBeUndefined()
})
