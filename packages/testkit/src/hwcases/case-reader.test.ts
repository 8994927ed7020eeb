import { expect, test } from 'vitest'
import { readCaseFile } from './case-reader.ts'

const head = { format: 2, source: 'hand-written', iommu: 'intel', mmioBase: '0xfed90000', ramBytes: 4096, devices: {} }
const withStep = (step: object): object => ({
  ...head,
  cases: [{ name: 'a', group: 'g', note: '', unit: {}, steps: [step] }],
})

test('drops the endings of the file name and keeps the cases in order', () => {
  const file = readCaseFile(
    JSON.stringify(withStep({ op: 'mem', addr: '0x0', u64: ['0x1'] })),
    'data/intel-spec.json.gz',
  )
  expect(file.name).toBe('intel-spec')
  expect(file.cases.map((c) => c.steps.length)).toStrictEqual([1])
})
test('names file, case, step and field of a wrong value in one line', () => {
  const wrong = withStep({
    op: 'dma',
    bdf: '00:02.0',
    dir: 'write',
    iova: '0x0',
    len: 8,
    result: { landed: [{ addr: '12', len: 8 }] },
  })
  expect(() => readCaseFile(wrong, 'x.json')).toThrow(
    new Error('x g/a steps[0] dma: result.landed[0].addr is "12", not a hex string'),
  )
})
test('refuses an op it does not know', () => {
  expect(() => readCaseFile(withStep({ op: 'reset' }), 'x')).toThrow(new Error('x g/a steps[0]: op reset is unknown'))
})
test('refuses a step without its fields', () => {
  expect(() => readCaseFile(withStep({ op: 'reg', off: '0x18', name: 'GCMD', size: 3, value: '0x0' }), 'x')).toThrow(
    new Error('x g/a steps[0] reg: size is 3, not 1, 2, 4 or 8'),
  )
})
test('refuses a file of another format', () => {
  expect(() => readCaseFile({ ...head, format: 3, cases: [] }, 'x')).toThrow(new Error('x: format is 3, not 1 or 2'))
})
test('collects fields it does not know, for the player to report', () => {
  const file = readCaseFile(withStep({ op: 'advance', ms: 1, hours: 2 }), 'x')
  expect(file.cases[0]?.unread).toStrictEqual(['steps[0].hours'])
})
