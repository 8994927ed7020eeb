/** Words by 48882 "Device Table Entry Format", as drivers/iommu/amd/iommu.c set_dte_v1, set_dte_gcr3_table make them. */
import { join } from '@ioasis/core'
import { expect, test } from 'vitest'
import {
  type Dte,
  emptyDte,
  guestTable,
  hostRoot,
  hostTable,
  nestGuest,
  passThrough,
  setGcr3,
} from './device-table-entry.ts'

const words = (dte: Dte): string[] =>
  [0, 1, 2, 3].map((i) => join(dte[2 * i + 1] as number, dte[2 * i] as number).toString(16))

test('an empty entry is valid and keeps what firmware asks for', () => {
  expect(words(emptyDte(undefined))).toEqual(['1', '0', '0', '0'])
  expect(words(emptyDte(Int32Array.of(0, 0, 0, 0x300, 0, 1 << 24, 0, 0)))).toEqual([
    '1',
    '30000000000',
    '100000000000000',
    '0',
  ])
})
test('a host table: mode, root, permissions, domain; IOTLB enabled with ATS; dirty bits when recorded', () => {
  const dte = emptyDte(undefined)
  hostTable(dte, { root: 0xa_bcde_f123_4000, levels: 4, dirty: false }, { domain: 0x17, ats: false })
  expect(words(dte)).toEqual(['600abcdef1234803', '17', '0', '0'])
  expect(hostRoot(dte)).toBe(0xa_bcde_f123_4000)
  const tracked = emptyDte(undefined)
  hostTable(tracked, { root: 0x5000, levels: 3, dirty: true }, { domain: 1, ats: true })
  expect(words(tracked)).toEqual(['6000000000005783', '100000001', '0', '0'])
})
test('pass-through: mode 0', () => {
  const dte = emptyDte(undefined)
  passThrough(dte, { domain: 1, ats: false })
  expect(words(dte)).toEqual(['6000000000000003', '1', '0', '0'])
})
test('guest tables: GV, GIOV, GLX, and the GCR3 root in three pieces', () => {
  const dte = emptyDte(undefined)
  const root = 0xf_fff1_2345_6000
  guestTable(dte, { root, glx: 1, giov: true, pageRequests: true, levels: 4 }, { domain: 2, ats: true })
  // GCR3[14:12] = 6, [30:15], [51:31].
  const one = (BigInt(root) >> 15n) & 0xffffn
  expect(words(dte)).toEqual([
    (3n | (1n << 52n) | (1n << 54n) | (1n << 55n) | (1n << 56n) | (6n << 58n) | (3n << 61n)).toString(16),
    (2n | (one << 16n) | (1n << 32n) | ((BigInt(root) >> 31n) << 43n)).toString(16),
    '0',
    '0',
  ])
  guestTable(dte, { root, glx: 1, giov: true, pageRequests: true, levels: 5 }, { domain: 2, ats: true })
  expect(words(dte)[2]).toBe((1n << 54n).toString(16))
})
test('a guest’s entry adds its GCR3 table to one with a host table, and nothing else', () => {
  const guest = new Int32Array(8).fill(-1)
  guest[1] = (guest[1] as number) & ~(3 << 24)
  setGcr3(guest, 0x7000)
  const dte = emptyDte(undefined)
  hostTable(dte, { root: 0x5000, levels: 3, dirty: false }, { domain: 9, ats: false })
  nestGuest(dte, guest)
  expect(words(dte)).toEqual([
    (0x5603n | (1n << 52n) | (1n << 54n) | (1n << 55n) | (7n << 58n) | (3n << 61n)).toString(16),
    '9',
    (3n << 54n).toString(16),
    '0',
  ])
})
