import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { CaseFile, CaseStep, Faults, FaultRecord, LogEvent } from './case-file.ts'
import { readCaseFile } from './case-reader.ts'
import { exemption, readDeviations } from './deviations.ts'
import { eventFields, recordFields } from './log-fields.ts'

const folder = new URL('../../testdata/hwcases/', import.meta.url)
const json = (name: string): string => gunzipSync(readFileSync(new URL(`${name}.json.gz`, folder))).toString()
const read = (name: string): CaseFile => readCaseFile(json(name), `${name}.json`)
const deviations = readDeviations(json('deviations'))
const exempt = (file: CaseFile, personality: 'specification' | 'qemu'): number =>
  file.cases.filter((one) => exemption(file, one, deviations, personality) !== undefined).length

describe('the published cases', () => {
  test('are 576, and every field of theirs is understood', () => {
    const files = ['intel', 'intel-spec', 'amd', 'amd-spec'].map(read)
    expect(files.map((file) => file.cases.length)).toStrictEqual([180, 142, 112, 142])
    expect(files.flatMap((file) => file.cases.flatMap((one) => one.unread))).toStrictEqual([])
  })
  test('come with their exemptions: fewer for a unit that makes the choices of QEMU', () => {
    const [intel, intelSpec, amd, amdSpec] = ['intel', 'intel-spec', 'amd', 'amd-spec'].map(read) as [
      CaseFile,
      CaseFile,
      CaseFile,
      CaseFile,
    ]
    expect([exempt(intel, 'specification'), exempt(intel, 'qemu')]).toStrictEqual([26, 15])
    expect([exempt(amd, 'specification'), exempt(amd, 'qemu')]).toStrictEqual([79, 64])
    expect([exempt(intelSpec, 'specification'), exempt(amdSpec, 'specification')]).toStrictEqual([1, 5])
  })
  test('take less than a megabyte', () => {
    const sizes = readdirSync(folder).map((name) => readFileSync(new URL(name, folder)).length)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(1 << 20)
  })
  test('log entries decode to the fields that stand beside their raw words', () => {
    const { records, events } = entriesOf(['intel', 'intel-spec', 'amd', 'amd-spec'].map(read))
    expect(records.length + events.length).toBeGreaterThan(300)
    expect(
      records.map((one) => pick(recordFields(BigInt(one.raw[0] ?? 0), BigInt(one.raw[1] ?? 0)), one)),
    ).toStrictEqual(records.map(plain))
    expect(events.map((one) => pick(eventFields(BigInt(one.raw[0] ?? 0), BigInt(one.raw[1] ?? 0)), one))).toStrictEqual(
      events.map(plain),
    )
  })
})

type Entry = FaultRecord | LogEvent
/** Fields that are not in the raw words, or are one of several. */
const BESIDE = new Set(['care', 'index'])
const plain = (entry: Entry): object =>
  Object.fromEntries(
    Object.entries(entry)
      .filter(([key]) => !BESIDE.has(key))
      .map(([key, value]) => [key, key === 'reason' && Array.isArray(value) ? value[0] : value]),
  )
const pick = (entry: Entry, like: Entry): object =>
  Object.fromEntries(Object.keys(plain(like)).map((key) => [key, entry[key]]))

function entriesOf(files: readonly CaseFile[]): { records: FaultRecord[]; events: LogEvent[] } {
  const faults = files.flatMap((file) => file.cases.flatMap((one) => one.steps.flatMap(faultsOf)))
  return { records: faults.flatMap((f) => f.records ?? []), events: faults.flatMap((f) => f.events ?? []) }
}
function faultsOf(step: CaseStep): Faults[] {
  if (step.op === 'events') return [step]
  const results = 'result' in step ? [step.result, ...(step.result.anyOf ?? [])] : []
  return results.flatMap((one) => (one.faults ? [one.faults] : []))
}
