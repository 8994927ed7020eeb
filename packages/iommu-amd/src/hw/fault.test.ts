import { expect, test } from 'vitest'
import { codeOf, flagsOf, qemuReasonText, reason, reasonText } from './fault.ts'

test('a reason keeps code and flags', () => {
  expect([codeOf(reason(2, 0x70)), flagsOf(reason(2, 0x70))]).toEqual([2, 0x70])
})
test.each([
  [reason(2, 0x20), 'IO_PAGE_FAULT (RW): write: no table entry is present, or the address lies beyond the tables'],
  [reason(2, 0x50), 'IO_PAGE_FAULT (PR+PE): read without permission in the DTE or a table entry'],
  [
    reason(2, 0x91),
    'IO_PAGE_FAULT (GN+PR+RZ): read: a reserved bit or an impossible value stands in the guest table entry',
  ],
  [reason(1, 0x80), 'ILLEGAL_DEV_TABLE_ENTRY (RZ): the device table entry of the function is illegal'],
  [reason(8, 0xa00), 'INVALID_DEVICE_REQUEST: the function may not send such a request'],
])('reason %i is told in words', (status, words) => {
  expect(reasonText(status)).toBe(words)
})
test.each([
  [reason(2, 0x9), 'IO_PAGE_FAULT: read: the tables do not allow the access'],
  [reason(2, 0xa), 'IO_PAGE_FAULT: write: the tables do not allow the access'],
  [reason(2), 'IO_PAGE_FAULT: the tables do not allow the access'],
  [reason(1), 'ILLEGAL_DEV_TABLE_ENTRY: the device table entry of the function is illegal'],
])('reason %i of a unit like QEMU’s is told in words', (status, words) => {
  expect(qemuReasonText(status)).toBe(words)
})
