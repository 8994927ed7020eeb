import { expect, test } from 'vitest'
import { structBuffer } from './struct-buffer.ts'

test('bytes, view and words are one memory, of whole words', () => {
  const { bytes, view, words } = structBuffer(6)
  view.setUint32(0, 0x0403_0201, true)
  bytes[5] = 6
  expect([bytes.length, words.length, view.byteLength]).toEqual([6, 2, 8])
  expect([...words]).toEqual([0x0403_0201, 0x0600])
})
