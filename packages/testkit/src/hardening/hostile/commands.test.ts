import { expect, test } from 'vitest'
import { readTraces } from '../../traces/trace-file.ts'
import { callOfLine, recordedErrors } from './commands.ts'

const step = (errno: string | null, i: number): object => ({
  step: i + 1,
  op: 'IOMMU_DESTROY',
  in: {},
  ret: -1,
  errno,
  out: {},
  src: 'IOMMU_DESTROY @i id=1',
})

test('a line makes the call of its operation, or none', () => {
  expect(['IOMMU_DESTROY @i id=1', 'MOCK_REPLACE @i', 'open i /dev/iommu'].map(callOfLine)).toEqual([
    'IOMMU_DESTROY',
    'IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE',
    undefined,
  ])
})
test('errors are collected by command', () => {
  const lines = ['EBUSY', null, 'ENOENT'].map(step)
  const text = [{ scenario: 's', title: 't', machine: 'm' }, ...lines, { end: true, steps: 3 }]
  const scenarios = readTraces(text.map((line) => JSON.stringify(line)).join('\n'), 'test')
  expect([...(recordedErrors(scenarios).get('IOMMU_DESTROY') ?? [])]).toEqual(['EBUSY', 'ENOENT'])
})
