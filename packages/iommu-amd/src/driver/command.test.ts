/** Words as drivers/iommu/amd/iommu.c builds them; addresses by 48882 "Table 14: Example Page Size Encodings". */
import { describe, expect, test } from 'vitest'
import { ALL, type Command, commandOf, completionWait, rangeAddress } from './command.ts'

const words = (command: Command): string[] => commandOf(command).map((word) => (word >>> 0).toString(16))

describe('a range as the address of an invalidation', () => {
  test.each([
    ['one page', 0x1234_5000n, 0x1234_5fffn, 0x1234_5000n],
    ['two pages that are aligned', 0x2000n, 0x3fffn, 0x2001n],
    ['two pages over a border: all four around', 0x1000n, 0x2fffn, 0x1001n],
    ['32 KiB', 0x8000n, 0xffffn, 0xb001n],
    ['2 MiB', 0x20_0000n, 0x3f_ffffn, 0x2f_f001n],
    ['4 GiB', 0x1_0000_0000n, 0x1_ffff_ffffn, 0x1_7fff_f001n],
    ['up to 2^52', 0n, 0xf_ffff_ffff_ffffn, 0x7_ffff_ffff_f001n],
    ['more than can be encoded', 0n, 0x10_0000_0000_0000n, 0x7fff_ffff_ffff_f001n],
    ['everything', ALL.first, ALL.last, 0x7fff_ffff_ffff_f001n],
  ])('%s', (_what, first, last, address) => {
    expect(rangeAddress(first, last).toString(16)).toBe(address.toString(16))
  })
})

test('INVALIDATE_DEVTAB_ENTRY, INVALIDATE_INTERRUPT_TABLE, INVALIDATE_IOMMU_ALL', () => {
  expect(words({ kind: 'device', requester: 0x108 })).toEqual(['108', '20000000', '0', '0'])
  expect(words({ kind: 'interrupts', requester: 0x108 })).toEqual(['108', '50000000', '0', '0'])
  expect(words({ kind: 'all' })).toEqual(['0', '80000000', '0', '0'])
})
test('INVALIDATE_IOMMU_PAGES: domain, PDE, and with a PASID GN', () => {
  const range = { first: 0x1_0000_1000n, last: 0x1_0000_1fffn }
  expect(words({ kind: 'pages', domain: 0x1234, ...range, directories: false })).toEqual(['0', '30001234', '1000', '1'])
  expect(words({ kind: 'pages', domain: 7, ...ALL, directories: true })).toEqual([
    '0',
    '30000007',
    'fffff003',
    '7fffffff',
  ])
  expect(words({ kind: 'pages', domain: 7, ...range, directories: true, pasid: 0xabcde })).toEqual([
    'abcde',
    '30000007',
    '1006',
    '1',
  ])
})
test('INVALIDATE_IOTLB_PAGES: queue depth, and the PASID in pieces', () => {
  const range = { first: 0x1000n, last: 0x1fffn }
  expect(words({ kind: 'device pages', requester: 0x108, depth: 32, ...range })).toEqual([
    '20000108',
    '40000108',
    '1000',
    '0',
  ])
  expect(words({ kind: 'device pages', requester: 0x108, depth: 1, ...range, pasid: 0x1234 })).toEqual([
    '1120108',
    '40340108',
    '1004',
    '0',
  ])
})
test('COMPLETE_PPR_REQUEST with and without a PASID', () => {
  expect(words({ kind: 'page response', requester: 0x108, code: 1, group: 0x1ff })).toEqual([
    '108',
    '70000000',
    '0',
    '11ff',
  ])
  expect(words({ kind: 'page response', requester: 0x108, code: 15, group: 3, pasid: 9 })).toEqual([
    '108',
    '70000009',
    '4',
    'f003',
  ])
})
test('COMPLETION_WAIT stores a number', () => {
  expect(completionWait(0x12_3456_7008, 5).map((word) => (word >>> 0).toString(16))).toEqual([
    '34567009',
    '10000012',
    '5',
    '0',
  ])
})
