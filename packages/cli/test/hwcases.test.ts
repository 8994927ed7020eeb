import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type Ended, Folder, ioasis, refusal, ROOT } from './command.test-kit.ts'

const DATA = join(ROOT, 'packages/testkit/testdata/hwcases')
const INTEL = join(DATA, 'intel.json.gz')
const SPEC = join(DATA, 'intel-spec.json.gz')
const LEGACY = [
  'legacy-walk',
  'legacy-permission',
  'legacy-reserved',
  'legacy-context',
  'interrupt-window',
  'fault-recording',
  'invalidation',
  'queued-invalidation',
].flatMap((group) => ['--group', group])

const play = (...args: string[]): Promise<Ended> => ioasis(['hwcases', ...args])
const closing = ({ code, stdout }: Ended): unknown => [code, stdout]

interface Step {
  op: string
  result?: { bus?: string }
}
interface Cases {
  cases: { group: string; name: string; steps: Step[] }[]
}
/** The recorded file, changed. */
function changed(change: (cases: Cases) => void): string {
  const file = JSON.parse(gunzipSync(readFileSync(INTEL)).toString()) as Cases
  change(file)
  return JSON.stringify(file)
}
/** One case alone, the first of its group, whose first DMA is expected to fail although it does not. */
const oneWrong = changed((file) => {
  file.cases = file.cases.filter((one) => one.group === 'legacy-walk').slice(0, 2)
  const dma = file.cases[0]?.steps.find((step) => step.op === 'dma')
  if (dma?.result) dma.result.bus = 'error'
})

describe('what is modelled agrees with every asserted case', () => {
  test('of legacy mode, recorded', async () => {
    expect(closing(await play(INTEL, ...LEGACY))).toEqual([0, '97 cases, 0 failed, 8 exempt\n'])
  })
  test("of the same with QEMU's choices", async () => {
    expect(closing(await play(INTEL, ...LEGACY, '--personality', 'qemu'))).toEqual([
      0,
      '104 cases, 0 failed, 1 exempt\n',
    ])
  })
  test('of legacy mode, from the specification', async () => {
    const ended = await play(SPEC, '--group', 'five-level/legacy-*', '-g', 'snoop/legacy-*')
    expect(closing(ended)).toEqual([0, '10 cases, 0 failed, 0 exempt\n'])
  })
})

describe('--group', () => {
  test('takes a group, or the cases of it that match', async () => {
    expect(closing(await play(SPEC, '-g', 'snoop/legacy-snp?'))).toEqual([0, '2 cases, 0 failed, 0 exempt\n'])
    expect(closing(await play(INTEL, SPEC, '-g', 'legacy-walk/te-off', '-g', 'snoop/legacy-sc0'))).toEqual([
      0,
      '2 cases, 0 failed, 0 exempt\n',
    ])
  })
  test('that matches nothing is refused, though another one matches', async () => {
    expect(await play(INTEL, '-g', 'legacy-walk', '-g', 'legacy-wlak')).toEqual(
      refusal('--group: no case matches "legacy-wlak"'),
    )
  })
})

describe('a failure', () => {
  test('is told by case, step, field, expectation and answer; exit code 1', async () => {
    using folder = new Folder()
    const ended = await play(folder.write('mine.json', oneWrong))
    expect(ended).toEqual({
      code: 1,
      stdout: `mine/legacy-walk/te-off steps[1] dma: result.bus: expected "error", got "ok"\n2 cases, 1 failed, 0 exempt\n`,
      stderr: '',
    })
  })
  test('is data with --json', async () => {
    using folder = new Folder()
    const { code, stdout } = await play(folder.write('mine.json', oneWrong), '--json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      cases: 2,
      failed: 1,
      exempt: 0,
      outcomes: [{ case: 'mine/legacy-walk/te-off' }, {}],
    })
  })
  test('is exempt when the deviations.json beside the file says so', async () => {
    using folder = new Folder()
    const cases = folder.write('mine.json', oneWrong)
    folder.write('deviations.json', JSON.stringify({ 'intel/legacy-walk/te-off': { kind: 'choice', text: 'mine' } }))
    expect(closing(await play(cases))).toEqual([0, '1 cases, 0 failed, 1 exempt\n'])
    expect((await play(cases, '--exempt')).stdout).toContain('choice: mine')
    expect((await play(cases, '--personality', 'qemu')).code).toBe(1)
  })
})

test('without a list beside it nothing is left out', async () => {
  using folder = new Folder()
  const alone = join(folder.path, 'intel.json.gz')
  copyFileSync(INTEL, alone)
  const [beside, without] = await Promise.all([INTEL, alone].map((path) => play(path, '-g', 'interrupt-window')))
  expect(beside?.stdout).toMatch(/, [1-9]\d* exempt\n$/)
  expect(without?.stdout).toMatch(/, 0 exempt\n$/)
})

describe('a bad file is told in one line:', () => {
  test('not there, not JSON, not cases', async () => {
    using folder = new Folder()
    const syntax = folder.write('syntax.json', '{"format": 1,\n "cases": [}\n')
    const head = folder.write('head.json', '{"format": 1}')
    expect(await play(join(folder.path, 'none.json'))).toEqual(refusal(`${folder.path}/none.json: no such file`))
    expect(await play(syntax)).toEqual(refusal(`${syntax}:2:12: not JSON`))
    expect(await play(head)).toEqual(refusal(`${head}: head: source is missing, not text`))
  })
  test('a step that nobody knows', async () => {
    using folder = new Folder()
    const unknown = changed(({ cases }) => {
      const [step] = cases[0]?.steps ?? []
      if (step) step.op = 'reset'
    })
    const path = folder.write('mine.json', unknown)
    expect(await play(path)).toEqual(refusal(`${path}: mine legacy-walk/te-off steps[0]: op reset is unknown`))
  })
  test('a deviations.json beside it', async () => {
    using folder = new Folder()
    const cases = folder.write('mine.json', oneWrong)
    const list = folder.write('deviations.json', '{"te-off": {}}')
    expect(await play(cases)).toEqual(refusal(`${list}: deviations: te-off is not {kind, text} of iommu/group/name`))
    folder.write('deviations.json', '{')
    expect(await play(cases)).toEqual(refusal(`${list}:1:2: not JSON`))
  })
})
