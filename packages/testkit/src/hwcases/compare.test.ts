import { expect, test } from 'vitest'
import { compareEvents, compareFaults, compareHex, compareResult } from './compare.ts'
import { eventFields, recordFields } from './log-fields.ts'

const record = recordFields(0x1234_5000n, 0x8000_0005_0000_0010n)

test('a fault record is compared field by field', () => {
  const expected = { records: [{ ...record, reason: '0x6', raw: ['0x12345000', '0x8000000600000010'] }] }
  expect(compareFaults('faults', expected, { records: [record] }).map((d) => d.field)).toStrictEqual([
    'faults.records[0].reason',
    'faults.records[0].raw[1]',
  ])
})
test('bits outside care do not count', () => {
  const expected = {
    ...record,
    priv: 1,
    raw: ['0x12345abc', '0x8000000525000010'],
    care: ['0xfffffffffffff000', '0xffffffff0000ffff'],
  }
  expect(compareFaults('faults', { records: [expected] }, { records: [record] })).toStrictEqual([])
})
test('any of the listed reasons will do', () => {
  const expected = { ...record, reason: ['0x6', '0x5'], raw: ['0x12345000', '0x8000000600000010'] }
  expect(compareFaults('faults', { records: [expected] }, { records: [record] })).toStrictEqual([])
})
test('a record too many is a difference', () => {
  expect(compareFaults('faults', { records: [] }, { records: [record] }).map((d) => d.field)).toStrictEqual([
    'faults.records',
  ])
})
test('flags of an event are compared as a set, its address in the bits that count', () => {
  const ours = eventFields(0x2020_0001_0000_0010n, 0x1234_5004n)
  expect(ours).toMatchObject({
    code: '0x2',
    name: 'IO_PAGE_FAULT',
    flags: 'RW',
    domain: '0x1',
    deviceId: '0x10',
    addr: '0x12345004',
  })
  const care = ['0xffffffff000fffff', '0xfffffffffffff000']
  expect(
    compareEvents(
      'events',
      [{ ...ours, addr: '0x12345000', raw: [ours.raw[0] as string, '0x12345000'], care }],
      [ours],
    ),
  ).toStrictEqual([])
  expect(compareEvents('events', [{ ...ours, flags: 'PR+RW' }], [ours]).map((d) => d.field)).toStrictEqual([
    'events[0].flags',
  ])
})
test('stores that the unit was not expected to make are a difference', () => {
  const stored = [{ addr: '0x1000', before: '0x3', after: '0x23' }]
  expect(
    compareResult({ landed: [] }, { landed: [], memWrites: stored }, true).differences.map((d) => d.field),
  ).toStrictEqual(['result.memWrites'])
  expect(
    compareResult(
      { memWritesInclude: stored },
      { memWrites: [...stored, { addr: '0x8', before: '0x0', after: '0x1' }] },
      true,
    ),
  ).toStrictEqual({ differences: [] })
})
test('an ATS answer may be larger than asked, up to its limit', () => {
  const expected = { status: 'success', addr: '0x2212000', size: 4096, maxSize: 0x20_0000 }
  const large = { status: 'success', addr: '0x2200000', size: 0x20_0000, memWrites: [] }
  expect(compareResult(expected, large, true).differences).toStrictEqual([])
  expect(compareResult({ ...expected, maxSize: 8192 }, large, true).differences.map((d) => d.field)).toStrictEqual([
    'result.size',
  ])
})
test('only masked bits of a register are compared', () => {
  expect(compareHex('value', '0x11', '0xf1', '0xf')).toStrictEqual([])
  expect(compareHex('value', '0x11', '0xf1')).toStrictEqual([{ field: 'value', expected: '0x11', ours: '0xf1' }])
})
