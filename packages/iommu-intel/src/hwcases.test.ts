import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import {
  type CaseFile,
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
import { vtdCaseUnit } from './case-unit.ts'

const json = (name: string): string =>
  gunzipSync(readFileSync(new URL(`../../testkit/testdata/hwcases/${name}.json.gz`, import.meta.url))).toString()
const deviations = readDeviations(json('deviations'))
const files = ['intel', 'intel-spec'].map((name) => readCaseFile(json(name), name))

/** Legacy mode; the other groups belong to scalable mode, interrupt remapping, ATS and page requests. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  intel: 'legacy-* interrupt-window fault-recording invalidation queued-invalidation'.split(' '),
  'intel-spec': ['five-level/legacy-*', 'snoop/legacy-*', 'pass-through/legacy*', 'fault-recording'],
}
const options = (file: CaseFile, personality: Personality): PlayOptions & { readonly select: readonly string[] } => ({
  make: vtdCaseUnit,
  deviations,
  personality,
  exactCaches: true,
  select: GROUPS[file.name] ?? [],
})

describe.each<Personality>(['specification', 'qemu'])('hardware cases, personality %s', (personality) => {
  test('the unit does what recordings and specification say', () => {
    const outcomes = files.flatMap((file) => playFile(file, options(file, personality)))
    console.log(`intel, ${personality}: ${closingLine(outcomes)}`)
    expect(failureLines(outcomes)).toStrictEqual([])
    expect(outcomes.length).toBeGreaterThan(100)
  })
  test('the player notices at least 99 of 100 changed expectations', () => {
    const seed = 20261120
    const reports = files.map((file) => checkMutations(file, options(file, personality), seed))
    const mutated = reports.reduce((sum, report) => sum + report.mutated, 0)
    const missed = reports.flatMap((report) => report.missed)
    console.log(
      `intel, ${personality}: ${mutated - missed.length} of ${mutated} changed expectations noticed, seed ${seed}`,
    )
    expect(mutated).toBeGreaterThan(90)
    expect(missed.length * 100 <= mutated ? [] : missed).toStrictEqual([])
  })
})
