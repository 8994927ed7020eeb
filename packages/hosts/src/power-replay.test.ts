/** What real kernels on POWER answered, step by step, with the audit after each. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import {
  mutateTraces,
  playTraces,
  RandomSource,
  readPowerTraces,
  type ScenarioOutcome,
  STEP_EXEMPTIONS,
  tallyTraces,
  traceClosingLine,
  traceDifferenceLine,
  type TraceScenario,
} from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { labTraceMachine } from './lab-kernel.ts'

const SEED = 20261120
const MUTATIONS = 1000

function recorded(machine: string): readonly TraceScenario[] {
  const file = new URL(`testdata/traces/${machine}.jsonl.gz`, import.meta.resolve('@ioasis/testkit/package.json'))
  const text = gunzipSync(readFileSync(fileURLToPath(file))).toString()
  return readPowerTraces(text, { scenario: '', machine }, machine)
}

describe.each(['powernv10', 'powernv10-64k', 'pseries'])('recorded on %s', (machine) => {
  const scenarios = recorded(machine)
  let outcomes: readonly ScenarioOutcome[] = []

  test('every answer is the kernel’s, and the audit holds after each step', () => {
    outcomes = playTraces(scenarios, { make: (name) => labTraceMachine(name) })
    console.log(`${machine}: ${traceClosingLine(outcomes)}`)
    const differences = outcomes.flatMap((o) => o.differences).filter((d) => d.exempt === undefined)
    expect(differences.map(traceDifferenceLine)).toEqual([])
    expect(tallyTraces(outcomes).exempt).toBeLessThanOrEqual(4)
  }, 120_000)

  test('at least 99 of 100 altered values are noticed', () => {
    const { tried, noticed, missed } = mutateTraces(outcomes, MUTATIONS, new RandomSource(SEED))
    console.log(`${machine}: ${noticed} of ${tried} altered values noticed, seed ${SEED}; not: ${missed.join('; ')}`)
    expect(noticed / tried).toBeGreaterThanOrEqual(0.99)
  })
})

test('whole steps are left out where the recorded kernel reaches outside its tables, and nowhere else', () => {
  expect([...new Set(STEP_EXEMPTIONS.map(({ scenario }) => scenario))]).toEqual([
    '36-v2-unmap-past-end',
    '32-v2-map-past-end',
  ])
})
