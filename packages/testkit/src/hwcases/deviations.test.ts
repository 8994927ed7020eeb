import { expect, test } from 'vitest'
import type { CaseFile, HwCase } from './case-file.ts'
import { exemption, readDeviations, unusedDeviations } from './deviations.ts'

const deviations = readDeviations({
  'intel/g/choice': { kind: 'choice', text: 'left open' },
  'intel/g/limit': { kind: 'limit', text: 'less' },
  'intel/g/qemu': { kind: 'qemu', text: 'departs' },
})
const hwCase = (name: string, more: Partial<HwCase> = {}): HwCase => ({
  name,
  group: 'g',
  note: '',
  unit: {},
  steps: [],
  unread: [],
  ...more,
})
const file = (format: 1 | 2, name = 'intel'): CaseFile => ({
  name,
  format,
  source: '',
  iommu: 'intel',
  mmioBase: '0x0',
  ramBytes: 0,
  devices: {},
  cases: [hwCase('qemu'), hwCase('limit')],
})

test('the specification asserts nothing that QEMU chose, does otherwise, or lacks', () => {
  const reasons = ['choice', 'limit', 'qemu', 'plain'].map((name) => exemption(file(1), hwCase(name), deviations))
  expect(reasons).toStrictEqual(['choice: left open', 'limit: less', 'qemu: departs', undefined])
})
test("QEMU's personality asserts its choices too", () => {
  const reasons = ['choice', 'limit', 'qemu'].map((name) => exemption(file(1), hwCase(name), deviations, 'qemu'))
  expect(reasons).toStrictEqual([undefined, 'limit: less', 'qemu: departs'])
})
test('deviations do not speak of cases written from the specification', () => {
  expect(exemption(file(2, 'intel-spec'), hwCase('qemu', { confidence: 'high' }), deviations)).toBeUndefined()
})
test('a case of low confidence is not asserted', () => {
  expect(exemption(file(2), hwCase('a', { confidence: 'low', why: 'models differ' }), deviations)).toBe(
    'low confidence: models differ',
  )
})
test('names entries without a case', () => {
  expect(unusedDeviations(file(1), deviations)).toStrictEqual(['intel/g/choice'])
})
test('refuses a kind it does not know', () => {
  expect(() => readDeviations({ 'intel/g/a': { kind: 'odd', text: '' } })).toThrow('deviations: intel/g/a is not')
})
