import { expect, test } from 'vitest'
import { readTraces } from './trace-file.ts'

const HEAD = '{"scenario":"a/b","title":"t","machine":"m.k"}'
const STEP = '{"step":1,"op":"close","in":{"fd":"@x"},"ret":0,"errno":null,"out":{},"src":"close @x"}'
const END = '{"end":true,"steps":1}'
const text = (...lines: string[]): string => lines.join('\n')

test('reads steps and pauses, and leaves out notes and the kernel log', () => {
  const [trace] = readTraces(
    text(HEAD, '{"note":"hello"}', '{"sleep_ms":50}', STEP, END, '{"kmsg":["reset"]}'),
    'x.jsonl',
  )
  expect(trace?.lines.map((line) => line.kind)).toEqual(['pause', 'step'])
  expect([trace?.scenario, trace?.machine]).toEqual(['a/b', 'm.k'])
})

test('reads several traces in a row', () => {
  expect(readTraces(text(HEAD, STEP, END, HEAD, STEP, END, ''), 'x').length).toBe(2)
})

test('keeps the signal of a load', () => {
  const step = '{"step":1,"op":"mem_read","in":{},"ret":-1,"errno":null,"signal":"SIGBUS","out":{},"src":"mr &m 4"}'
  expect(readTraces(text(HEAD, step, END), 'x')[0]?.lines[0]).toMatchObject({ signal: 'SIGBUS' })
})

test('refuses what is cut off, miscounted, out of order or no JSON, naming file and line', () => {
  expect(() => readTraces(text(HEAD, STEP), 'cut.jsonl')).toThrow('cut.jsonl: a/b has no end')
  expect(() => readTraces(text(HEAD, STEP, '{"end":true,"steps":2}'), 'x')).toThrow(
    'x:3: the end counts 2 steps, there are 1',
  )
  expect(() => readTraces(text(HEAD, STEP.replace('"step":1', '"step":2'), END), 'x')).toThrow(
    'x:2: step 2 where 1 is next',
  )
  expect(() => readTraces(text(HEAD, 'step 1'), 'x')).toThrow('x:2: not an object in JSON')
  expect(() => readTraces(text(HEAD, STEP.replace('"errno":null,', ''), END), 'x')).toThrow('x:2: "errno" is missing')
  expect(() => readTraces(STEP, 'x')).toThrow('x:1: a trace begins with its scenario')
  expect(() => readTraces(text(HEAD, '{"what":1}', END), 'x')).toThrow('x:2: neither step, pause, note nor end')
  expect(() => readTraces('', 'empty')).toThrow('empty: no scenario')
})
