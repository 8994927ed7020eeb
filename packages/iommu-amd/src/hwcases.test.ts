import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import {
  checkMutations,
  closingLine,
  failureLines,
  type Personality,
  playFile,
  type PlayOptions,
  readCaseFile,
  readDeviations,
} from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { amdCaseUnit } from './case-unit.ts'

const json = (name: string): string =>
  gunzipSync(readFileSync(new URL(`../../testkit/testdata/hwcases/${name}.json.gz`, import.meta.url))).toString()
const deviations = readDeviations(json('deviations'))
const files = ['amd', 'amd-spec'].map((name) => readCaseFile(json(name), name))

const options = (personality: Personality): PlayOptions => ({
  make: amdCaseUnit,
  deviations,
  personality,
  exactCaches: true,
})

describe.each<Personality>(['specification', 'qemu'])('hardware cases, personality %s', (personality) => {
  test('the unit does what recordings and specification say', () => {
    const outcomes = files.flatMap((file) => playFile(file, options(personality)))
    console.log(`amd, ${personality}: ${closingLine(outcomes)}`)
    expect(failureLines(outcomes)).toStrictEqual([])
    expect(outcomes.length).toBeGreaterThan(100)
  })
  test('the player notices at least 99 of 100 changed expectations', () => {
    const seed = 20261120
    const reports = files.map((file) => checkMutations(file, options(personality), seed))
    const mutated = reports.reduce((sum, report) => sum + report.mutated, 0)
    const missed = reports.flatMap((report) => report.missed)
    console.log(
      `amd, ${personality}: ${mutated - missed.length} of ${mutated} changed expectations noticed, seed ${seed}`,
    )
    expect(mutated).toBeGreaterThan(90)
    expect(missed.length * 100 <= mutated ? [] : missed).toStrictEqual([])
  })
})
