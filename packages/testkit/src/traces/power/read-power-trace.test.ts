import { expect, test } from 'vitest'
import { isPowerTrace, readPowerTrace, readPowerTraces } from './read-power-trace.ts'

const step = (n: number, more: object = {}): string =>
  JSON.stringify({
    step: n,
    op: 'map',
    in: { fd: 'c' },
    ret: 1,
    errno: null,
    out: {},
    src: 'map fd=c',
    klog: ['x'],
    ...more,
  })
const read = (...lines: readonly string[]): unknown =>
  readPowerTrace(lines.join('\n'), '06-v1-map-errors', 'pseries', 'f')

test('steps follow each other; kernel messages are passed over', () => {
  expect(read(step(1), '', step(2, { proc: 'child', errno: 'EPERM', ret: -1 }))).toEqual({
    scenario: '06-v1-map-errors',
    title: 'v1 map errors',
    machine: 'pseries',
    dialect: 'power',
    lines: [
      { kind: 'step', step: 1, op: 'map', in: { fd: 'c' }, ret: 1, errno: null, out: {}, src: 'map fd=c' },
      { kind: 'step', step: 2, op: 'map', in: { fd: 'c' }, ret: -1, errno: 'EPERM', out: {}, src: 'map fd=c' },
    ],
  })
})
const head = (scenario: string): string => JSON.stringify({ scenario, machine: 'powernv10', dialect: 'power' })
test('several in one file begin with their names', () => {
  const text = [head('01-a'), step(1), head('02-b'), step(1), step(2)].join('\n')
  expect(isPowerTrace(text)).toBe(true)
  const found = readPowerTraces(text, { scenario: '', machine: '' }, 'f')
  expect(found.map(({ scenario, machine, lines }) => [scenario, machine, lines.length])).toEqual([
    ['01-a', 'powernv10', 1],
    ['02-b', 'powernv10', 2],
  ])
})
test('told apart from traces with a head and an end', () => {
  expect([isPowerTrace(step(1)), isPowerTrace('{"scenario":"dma/one","title":"t","machine":"intel.type1"}')]).toEqual([
    true,
    false,
  ])
})
test.each([
  ['a gap', [step(1), step(3)], /f:2: step 3 where 2 is next/],
  ['no result', [step(1, { ret: 'fd' })], /f:1: a step has an operation, a result/],
  ['no errno', [step(1, { errno: 5 })], /f:1: "errno"/],
  ['no fields', [step(1, { out: [] })], /f:1: "out" is no object/],
  ['no JSON', ['{'], /f:1: not an object in JSON/],
  ['nothing', [''], /f: no step/],
])('%s is named with its line', (_what, lines, why) => {
  expect(() => read(...lines)).toThrow(why)
})
