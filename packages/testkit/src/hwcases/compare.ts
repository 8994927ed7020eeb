/** Compares what a case expects with what a unit did. Every difference is a value; nothing throws. */
import type { CaseResult, Faults, FaultRecord, Hex, LogEvent, MemWrite } from './case-file.ts'
import { EVENT_FIELDS, type LogField, RECORD_FIELDS } from './log-fields.ts'

/** One expectation that was not met. */
export interface FieldDifference {
  /** Path within the step, e.g. `result.faults.records[0].reason`. */
  readonly field: string
  readonly expected: unknown
  readonly ours: unknown
}

/** What an access did, in the words of the case files. */
export type Observed = Omit<CaseResult, 'anyOf' | 'memWritesInclude' | 'maxSize' | 'status' | 'r' | 'w' | 'n'> & {
  readonly memWrites: readonly MemWrite[]
  readonly status?: string
  readonly r?: number
  readonly w?: number
  readonly n?: number
}

const ALL = 0xffff_ffff_ffff_ffffn

/** Compares two numbers in the bits of `mask`. */
export function compareHex(
  field: string,
  expected: Hex,
  ours: Hex | bigint,
  mask: Hex | bigint = ALL,
): FieldDifference[] {
  const differ = (BigInt(expected) ^ BigInt(ours)) & BigInt(mask)
  return differ === 0n ? [] : [{ field, expected, ours: typeof ours === 'bigint' ? `0x${ours.toString(16)}` : ours }]
}
/** Compares two values member by member; the order of members does not count, that of lists does. */
export function compareValue(field: string, expected: unknown, ours: unknown): FieldDifference[] {
  return same(expected, ours) ? [] : [{ field, expected, ours }]
}
/** Compares with a value, or with a list of which any will do. */
export function compareEither(field: string, expected: unknown, ours: unknown): FieldDifference[] {
  return (Array.isArray(expected) ? expected : [expected]).includes(ours) ? [] : [{ field, expected, ours }]
}

/** How an access compares. */
export interface ResultComparison {
  readonly differences: FieldDifference[]
  /** Which member of `anyOf` the unit chose; absent where the case leaves no choice or none fits. */
  readonly alternative?: number
}

/**
 * Compares the result of an access.
 * @param exactCaches where a cache may or may not hold an old entry, only a unit that caches everything is right
 */
export function compareResult(expected: CaseResult, ours: Observed, exactCaches: boolean): ResultComparison {
  if (!expected.anyOf) return { differences: compareOne('result', expected, ours) }
  const tried = expected.anyOf.map((one, i) => compareOne(`result.anyOf[${i}]`, one, ours))
  const alternative = tried.findIndex((differences) => differences.length === 0)
  if (alternative < 0 || (exactCaches && alternative > 0)) return { differences: tried[0] as FieldDifference[] }
  return { differences: [], alternative }
}

function compareOne(path: string, expected: CaseResult, ours: Observed): FieldDifference[] {
  const { bus, landed, read, memWrites = [], memWritesInclude, faults, events, coherency, delivered } = expected
  const { status, r, w, n, addr } = expected
  return [
    ...(bus === undefined ? [] : compareValue(`${path}.bus`, bus, ours.bus)),
    ...(landed ? compareValue(`${path}.landed`, landed, ours.landed) : []),
    ...(read ? compareValue(`${path}.read`, read, ours.read) : []),
    ...(memWritesInclude
      ? memWritesInclude.flatMap((m, i) => compareIncluded(`${path}.memWritesInclude[${i}]`, m, ours.memWrites))
      : compareValue(`${path}.memWrites`, memWrites, ours.memWrites)),
    ...(coherency === undefined ? [] : compareValue(`${path}.coherency`, coherency, ours.coherency)),
    ...(delivered ? compareValue(`${path}.delivered`, delivered, ours.delivered) : []),
    ...(status === undefined ? [] : compareEither(`${path}.status`, status, ours.status)),
    ...(r === undefined ? [] : compareEither(`${path}.r`, r, ours.r)),
    ...(w === undefined ? [] : compareEither(`${path}.w`, w, ours.w)),
    ...(n === undefined ? [] : compareEither(`${path}.n`, n, ours.n)),
    ...(addr === undefined ? [] : compareAnswer(path, expected, ours)),
    ...(faults ? compareFaults(`${path}.faults`, faults, ours.faults ?? {}) : []),
    ...(events ? compareEvents(`${path}.events`, events, ours.faults?.events ?? []) : []),
  ]
}

const compareIncluded = (field: string, expected: MemWrite, ours: readonly MemWrite[]): FieldDifference[] =>
  ours.some((one) => same(expected, one)) ? [] : [{ field, expected, ours }]

/** The range that an ATS completion names: any power of two from `size` to `maxSize` that holds `addr`. */
function compareAnswer(
  path: string,
  { addr, size = 4096, maxSize = size }: CaseResult,
  ours: Observed,
): FieldDifference[] {
  const bytes = ours.size ?? 0
  const allowed = bytes >= size && bytes <= maxSize && Math.log2(bytes) % 1 === 0
  if (!allowed)
    return [{ field: `${path}.size`, expected: maxSize === size ? size : `${size} to ${maxSize}`, ours: bytes }]
  return compareHex(`${path}.addr`, addr as Hex, ours.addr ?? '0x0', ~BigInt(bytes - 1) & ALL)
}

/** Compares what stands in a unit's log and its status registers; absent members are not compared. */
export function compareFaults(path: string, expected: Faults, ours: Faults): FieldDifference[] {
  return [
    ...(expected.records ? compareRecords(`${path}.records`, expected.records, ours.records ?? []) : []),
    ...(expected.events ? compareEvents(`${path}.events`, expected.events, ours.events ?? []) : []),
    ...(expected.fsts === undefined ? [] : compareHex(`${path}.fsts`, expected.fsts, ours.fsts ?? '0x0')),
    ...(expected.evtTail === undefined ? [] : compareHex(`${path}.evtTail`, expected.evtTail, ours.evtTail ?? '0x0')),
    ...(expected.status === undefined ? [] : compareHex(`${path}.status`, expected.status, ours.status ?? '0x0')),
  ]
}

function compareRecords(
  path: string,
  expected: readonly FaultRecord[],
  ours: readonly FaultRecord[],
): FieldDifference[] {
  if (expected.length !== ours.length) return [{ field: path, expected, ours }]
  return expected.flatMap((record, i) => {
    const mine = ours[i] as FaultRecord
    const index = record.index === undefined ? [] : compareValue(`${path}[${i}].index`, record.index, mine.index)
    return [...index, ...compareEntry(`${path}[${i}]`, RECORD_FIELDS, record, mine)]
  })
}

/** Recordings list at most this many events of one step. */
const LISTED = 16

/** Compares entries of AMD's event log. */
export function compareEvents(
  path: string,
  expected: readonly LogEvent[],
  ours: readonly LogEvent[],
): FieldDifference[] {
  const mine = expected.length === LISTED ? ours.slice(0, LISTED) : ours
  if (expected.length !== mine.length) return [{ field: path, expected, ours: mine }]
  return expected.flatMap((event, i) => {
    const one = mine[i] as LogEvent
    return [
      ...compareValue(`${path}[${i}].name`, event.name, one.name),
      ...compareEntry(`${path}[${i}]`, EVENT_FIELDS, event, one),
    ]
  })
}

/** Compares a log entry: its fields and its raw words, in the bits that count. */
function compareEntry(
  path: string,
  fields: readonly LogField[],
  expected: FaultRecord | LogEvent,
  ours: FaultRecord | LogEvent,
): FieldDifference[] {
  const raw = ours.raw.map(BigInt)
  const care = caredBits(expected)
  const differences: FieldDifference[] = []
  for (const field of fields) {
    const value = expected[field.name]
    if (value === undefined) continue
    const fits = (one: unknown): boolean => {
      const bits = field.encode(one)
      return bits !== undefined && ((bits ^ (raw[field.word] as bigint)) & field.mask & care[field.word]) === 0n
    }
    const acceptable = Array.isArray(value) ? value.some(fits) : fits(value)
    if (!acceptable) differences.push({ field: `${path}.${field.name}`, expected: value, ours: ours[field.name] })
  }
  const anyReason = Array.isArray(expected['reason']) ? (RECORD_FIELDS[0] as LogField).mask : 0n
  for (const [word, bits] of expected.raw.entries()) {
    const mask = (care[word] as bigint) & ~(word === 1 ? anyReason : 0n)
    differences.push(...compareHex(`${path}.raw[${word}]`, bits, ours.raw[word] as Hex, mask))
  }
  return differences
}

/** Bits of an entry's raw words that count. */
export const caredBits = (entry: { readonly care?: readonly Hex[] }): readonly [bigint, bigint] => [
  BigInt(entry.care?.[0] ?? ALL),
  BigInt(entry.care?.[1] ?? ALL),
]

function same(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return sameScalar(a, b)
  const keys = Object.keys(a)
  if (Array.isArray(a) !== Array.isArray(b) || keys.length !== Object.keys(b).length) return false
  return keys.every((key) => same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
}
/** Hex strings are numbers: `0x0a` is `0xa`. */
const sameScalar = (a: unknown, b: unknown): boolean =>
  a === b ||
  (typeof a === 'string' &&
    typeof b === 'string' &&
    a.startsWith('0x') &&
    b.startsWith('0x') &&
    BigInt(a) === BigInt(b))
