import { expect, test } from 'vitest'
import type { IvmdBlock } from '../spec/ivrs-table.ts'
import { reservedRegions } from './reserved.ts'

const memory: IvmdBlock = {
  scope: { first: 8, last: 15 },
  segment: 0,
  first: 0x10_0800,
  size: 0x1800,
  unity: true,
  read: true,
  write: false,
  exclusion: false,
}
const types = (...args: Parameters<typeof reservedRegions>): string[] =>
  reservedRegions(...args).map(
    (r) => `${r.type} ${r.first.toString(16)}-${r.last.toString(16)} ${r.read ? 'r' : ''}${r.write ? 'w' : ''}`,
  )
const MSI = 'msi fee00000-feefffff '
const HT = 'reserved fd00000000-ffffffffff '

test('every function: the interrupt window, and HyperTransport’s range unless units leave it to software', () => {
  expect(types(1, 0, [memory], false)).toEqual([MSI, HT])
  expect(types(1, 0, [memory], true)).toEqual([MSI])
})
test('memory that firmware keeps, in whole pages, for those in its range', () => {
  expect(types(8, 0, [memory], true)).toEqual(['direct 101000-102fff r', MSI])
  expect(types(8, 1, [memory], true)).toEqual([MSI])
  expect(types(0x1234, 0, [{ ...memory, scope: 'all' }], true)).toEqual(['direct 101000-102fff r', MSI])
})
test('an exclusion range counts as mapped for reading and writing', () => {
  const excluded = { ...memory, unity: false, exclusion: true, read: false }
  expect(types(8, 0, [excluded], true)).toEqual(['direct 101000-102fff rw', MSI])
  expect(types(8, 0, [{ ...memory, unity: false }], true)).toEqual([MSI])
})
