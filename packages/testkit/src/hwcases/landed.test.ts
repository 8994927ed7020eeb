import { expect, test } from 'vitest'
import { patternBytes, readPieces, splitChanges, tagBytes } from './landed.ts'

const word = (hpa: number, before: bigint, after: bigint) => ({ hpa, before, after })

test('an unaligned write is found byte by byte, also where memory held the same byte before', () => {
  const { landed, unit } = splitChanges([word(0x2000, 0x5a5a_0000_0000_7800n, 0x5a12_3456_7834_5678n << 8n)], {
    iova: 0x9001n,
    len: 7,
    atomic: false,
  })
  expect(unit).toHaveLength(1)
  expect(landed).toStrictEqual([])
  const again = splitChanges([word(0x2000, 0x5a5a_0000_0000_7800n, 0x3456_7812_3456_7800n)], {
    iova: 0x9001n,
    len: 7,
    atomic: false,
  })
  expect(again.landed).toStrictEqual([{ addr: '0x2001', len: 7 }])
})
test('neighbouring pages are one piece, scattered ones are two', () => {
  const full = 0x1234_5678_1234_5678n
  const { landed } = splitChanges([word(0x1ff8, 0n, full), word(0x2000, 0n, full), word(0x5008, 0n, full)], {
    iova: 0xff8n,
    len: 24,
    atomic: false,
  })
  expect(landed).toStrictEqual([
    { addr: '0x1ff8', len: 16 },
    { addr: '0x5008', len: 8 },
  ])
})
test("an accessed bit set in a table entry is the unit's change", () => {
  const { landed, unit } = splitChanges([word(0x11_3a28, 0x200_0003n, 0x200_0023n)], {
    iova: 0x1234_5000n,
    len: 8,
    atomic: false,
  })
  expect(landed).toStrictEqual([])
  expect(unit).toHaveLength(1)
})
test('tagged data names where it came from, other data is a value', () => {
  const data = new Uint8Array([...tagBytes(0x2000, 16), ...patternBytes(8), ...tagBytes(0x3018, 8)])
  expect(readPieces(0x7000n, data)).toStrictEqual([
    { from: '0x2000', len: 16 },
    { value: '0x1234567812345678', len: 8 },
    { from: '0x3018', len: 8 },
  ])
})
