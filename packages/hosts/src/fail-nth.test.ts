/** Every point of failure of every recorded scenario about address spaces, containers and devices fails once. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { FAILURE_KINDS, type FailureKind } from '@ioasis/core'
import { failNth, type FailNthReport, KEPT_EFFECTS, readTraces, type TraceScenario } from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { labTraceMachine } from './lab-kernel.ts'

function recorded(machine: string, areas: RegExp): readonly TraceScenario[] {
  const file = new URL(`testdata/traces/${machine}.jsonl.gz`, import.meta.resolve('@ioasis/testkit/package.json'))
  const all = readTraces(gunzipSync(readFileSync(fileURLToPath(file))).toString(), machine)
  return all.filter(({ scenario }) => areas.test(scenario))
}

const RUNS = [
  { machine: 'intel.type1', areas: /^(?:iommufd-|type1\/|vfio-cdev\/)/, auditedPins: 12 },
  { machine: 'intel.type1', areas: /^(?:vfio-group|kvm-vfio|emulated-mdev)\//, auditedPins: 6 },
  { machine: 'intel.test', areas: /^mock\//, auditedPins: 6 },
]
const reports: FailNthReport[] = []

const line = (counts: ReadonlyMap<FailureKind, number>): string =>
  FAILURE_KINDS.map((kind) => `${kind} ${counts.get(kind) ?? 0}`).join(', ')

describe.each(RUNS)('$machine, $areas', ({ machine, areas, auditedPins }) => {
  test('a call that fails at any point leaves nothing, and works when it is made again', () => {
    const report = failNth(recorded(machine, areas), { make: () => labTraceMachine(machine), auditedPins })
    reports.push(report)
    const { scenarios, steps, hit, tried, kept } = report
    console.log(`${machine} ${areas}: ${scenarios} scenarios, ${steps} steps; points passed: ${line(hit)}`)
    console.log(`points that failed: ${line(tried)}; ${kept} of them left what Linux leaves`)
    expect(report.problems).toEqual([])
  }, 240_000)
})

test('points of every kind failed', () => {
  expect(FAILURE_KINDS.filter((kind) => !reports.some(({ tried }) => (tried.get(kind) ?? 0) > 0))).toEqual([])
})
test('every reason why an effect is kept was needed', () => {
  const unneeded = KEPT_EFFECTS.filter((row) => !reports.some(({ used }) => used.has(row)))
  // What the recordings of SR-IOV need alone.
  expect(unneeded.filter(({ op }) => !op.test('sysfs_write'))).toEqual([])
})

test('an effect that is kept, and that nobody said is, is found', () => {
  const scenarios = recorded('intel.type1', /^iommufd-map\/(?:unmap-rules|copy)$/)
  const { problems } = failNth(scenarios, { make: () => labTraceMachine('intel.type1'), kept: [] })
  const again = ' IOMMU_IOAS_MAP: errno: recorded null, after failures "EEXIST"'
  expect(problems.filter((text) => text.endsWith(again))).not.toEqual([])
})
