import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { namedTraces } from './trace-files.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'traces-'))
})
afterEach(() => {
  rmSync(root, { recursive: true })
})

const trace = (scenario: string, ...steps: readonly string[]): string =>
  [
    JSON.stringify({ scenario, title: 't', machine: 'intel.type1' }),
    ...steps.map((step, i) => step.replace('"step":0', `"step":${i + 1}`)),
    JSON.stringify({ end: true, steps: steps.length }),
  ].join('\n')
const WRITE = JSON.stringify({
  step: 0,
  op: 'sysfs_write',
  in: { path: 'grp:edu/type', text: 'DMA' },
  ret: 0,
  errno: null,
  out: {},
  src: 'sysfs_w grp:edu/type DMA',
})

function file(path: string, text: string): string {
  const whole = join(root, path)
  mkdirSync(join(whole, '..'), { recursive: true })
  writeFileSync(whole, text)
  return whole
}
const machine = (name: string, mark = 'machine.json'): void => {
  file(`${name}/${mark}`, '{}')
  file(`${name}/b/two.jsonl`, trace('b/two'))
  file(`${name}/a/one.jsonl`, trace('a/one', WRITE))
}
const names = (...paths: string[]): string[] =>
  namedTraces(paths.map((path) => join(root, path))).scenarios.map(({ scenario }) => scenario)

test('a folder holds machine folders, is one, or is an area of one; a file is itself', () => {
  machine('x86/m1')
  machine('x86/m2', 'topology.txt')
  expect(names('x86')).toEqual(['a/one', 'b/two', 'a/one', 'b/two'])
  expect(names('x86/m1')).toEqual(['a/one', 'b/two'])
  expect(names('x86/m1/b')).toEqual(['b/two'])
  expect(names('x86/m1/b/two.jsonl')).toEqual(['b/two'])
  expect(names('x86/m1/b', 'x86/m1/b/two.jsonl')).toEqual(['b/two'])
})

test('links are followed, other folders passed over', () => {
  machine('elsewhere/m1')
  file('x86/scenarios/a/stray.jsonl', trace('a/stray'))
  symlinkSync(join(root, 'elsewhere/m1'), join(root, 'x86/m1'))
  expect(names('x86')).toEqual(['a/one', 'b/two'])
})

const before = (path: string): string[] => {
  const traces = namedTraces([join(root, path)])
  return traces.scenarios.flatMap((one) => traces.before(one).map(({ scenario }) => scenario))
}

test('what was recorded before on the machine and is not asked for is at hand', () => {
  machine('m1')
  expect(before('m1/b/two.jsonl')).toEqual(['a/one'])
  expect(before('m1')).toEqual([])
})

test('a machine folder of another format is told, not fatal; one that was asked for is', () => {
  machine('x86/m1')
  file('x86/power/topology.txt', '')
  file('x86/power/one.jsonl', '{"call":"H_PUT_TCE"}')
  const { scenarios, unread } = namedTraces([join(root, 'x86')])
  expect(scenarios.length).toBe(2)
  expect([...unread.values()]).toEqual([expect.stringContaining('one.jsonl:1: a trace begins with its scenario')])
  expect(() => names('x86/power')).toThrow('a trace begins with its scenario')
})

test('tells what is not there', () => {
  file('empty/readme.txt', '')
  expect(() => names('nowhere')).toThrow('no such file or folder')
  expect(() => names('empty')).toThrow('no machine folder, which has machine.json or topology.txt and traces')
  file('m1/machine.json', '{}')
  expect(() => names('m1')).toThrow('no traces (.jsonl)')
})

const step = (n: number, src: string): string =>
  JSON.stringify({ step: n, op: 'vmlck', in: {}, ret: 0, errno: null, out: {}, src })
test('traces of POWER machines have no head: file and folder name them; logs of firmware calls are none', () => {
  file('spapr/pseries/topology.txt', 'kernel 6.12')
  file('spapr/pseries/08-v2-lifecycle.jsonl', `${step(1, 'vmlck')}\n${step(2, '@child vmlck')}\n`)
  file('spapr/pseries/08-v2-lifecycle.hcalls.jsonl', '{"call":"H_PUT_TCE"}')
  const { scenarios, unread } = namedTraces([join(root, 'spapr')])
  expect(scenarios).toMatchObject([{ scenario: '08-v2-lifecycle', machine: 'pseries', dialect: 'power' }])
  expect([scenarios[0]?.lines.length, unread.size]).toEqual([2, 0])
})
