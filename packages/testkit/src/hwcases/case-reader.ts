/** Reads a file of hardware cases and checks every value once, so that the player need not. */
import { parseBdf } from '@ioasis/core'
import type { CaseFile, HwCase, StepOp } from './case-file.ts'

/** Where a check stands, and what it found so far. */
interface Findings {
  readonly wrong: string[]
  readonly unread: string[]
}
type Check = (value: unknown, path: string, found: Findings) => void

const test =
  (what: string, holds: (value: unknown) => boolean): Check =>
  (value, path, { wrong }) => {
    if (!holds(value)) wrong.push(`${path} is ${JSON.stringify(value) ?? 'missing'}, not ${what}`)
  }
const oneOf = (...words: readonly string[]): Check => test(words.join(' or '), (v) => words.includes(v as string))
const list =
  (each: Check): Check =>
  (value, path, found) => {
    if (!Array.isArray(value)) found.wrong.push(`${path} is not a list`)
    else for (const [i, item] of value.entries()) each(item, `${path}[${i}]`, found)
  }
const eitherOneOrMany =
  (each: Check): Check =>
  (value, path, found) =>
    (Array.isArray(value) ? list(each) : each)(value, path, found)
/** Members by name; a name that ends in `?` may be missing. */
const shape = (members: Readonly<Record<string, Check>>): Check => {
  const rows = new Map(
    Object.entries(members).map(([name, check]) => [name.replace('?', ''), { check, optional: name.endsWith('?') }]),
  )
  return (value, path, found) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      found.wrong.push(`${path} is not an object`)
      return
    }
    const prefix = path === '' ? '' : `${path}.`
    for (const key of Object.keys(value)) if (!rows.has(key)) found.unread.push(prefix + key)
    for (const [name, { check, optional }] of rows) {
      const member = (value as Record<string, unknown>)[name]
      if (member !== undefined || !optional) check(member, prefix + name, found)
    }
  }
}

const hex = test('a hex string', (v) => typeof v === 'string' && /^0x[0-9a-f]{1,16}$/i.test(v))
const count = test('a count', (v) => Number.isSafeInteger(v) && (v as number) >= 0)
const bit = test('0 or 1', (v) => v === 0 || v === 1)
const text = test('text', (v) => typeof v === 'string')
const bdf = test('a bus:device.function', (v) => typeof v === 'string' && parseBdf(v) !== undefined)
const accessSize = test('1, 2, 4 or 8', (v) => v === 1 || v === 2 || v === 4 || v === 8)
const memWrites = list(shape({ addr: hex, before: hex, after: hex }))
const events = list(
  shape({
    code: hex,
    name: text,
    deviceId: hex,
    domain: hex,
    flags: text,
    addr: hex,
    raw: list(hex),
    'care?': list(hex),
    'pasid?': hex,
  }),
)
const records = list(
  shape({
    reason: eitherOneOrMany(hex),
    sourceId: hex,
    addr: hex,
    type: oneOf('write', 'read', 'page', 'atomic'),
    pasid: hex,
    pasidPresent: bit,
    exec: bit,
    priv: bit,
    raw: list(hex),
    'care?': list(hex),
    'index?': count,
    'index16?': hex,
  }),
)
const faults = shape({ 'fsts?': hex, 'records?': records, 'events?': events, 'evtTail?': hex, 'status?': hex })
const interrupt = shape({ vector: hex, dest: hex, destMode: text, deliveryMode: text })
const resultMembers: Record<string, Check> = {
  'bus?': oneOf('ok', 'error'),
  'landed?': list(shape({ addr: hex, len: count })),
  'read?': list(shape({ 'from?': hex, 'value?': hex, len: count })),
  'memWrites?': memWrites,
  'memWritesInclude?': memWrites,
  'faults?': faults,
  'events?': events,
  'coherency?': oneOf('snoop', 'no-snoop'),
  'delivered?': list((v, path, found) => (typeof v === 'string' ? hex : interrupt)(v, path, found)),
  'status?': eitherOneOrMany(oneOf('success', 'ur', 'ca')),
  'r?': eitherOneOrMany(bit),
  'w?': eitherOneOrMany(bit),
  'n?': eitherOneOrMany(bit),
  'addr?': hex,
  'size?': count,
  'maxSize?': count,
}
const result = shape({ ...resultMembers, 'anyOf?': list(shape(resultMembers)) })
const messages: Readonly<Record<string, Check>> = {
  'ats-invalidate': shape({ kind: text, bdf, addr: hex, size: count }),
  'page-response': shape({ kind: text, bdf, pasid: hex, prg: hex, code: text }),
  'fault-event': shape({ kind: text, addr: hex, data: hex }),
}
const message: Check = (value, path, found) => {
  const kind = String((value as { kind?: unknown } | null)?.kind)
  const check = messages[kind]
  if (check) check(value, path, found)
  else found.wrong.push(`${path}.kind is ${kind}, which no message has`)
}

/** One row per op. */
const STEPS: Readonly<Record<StepOp, Check>> = {
  mem: shape({ op: text, addr: hex, u64: list(hex) }),
  tag: shape({ op: text, addr: hex, len: count }),
  reg: shape({ op: text, off: hex, name: text, size: accessSize, value: hex, 'memWrites?': memWrites }),
  'read-reg': shape({ op: text, off: hex, name: text, size: accessSize, value: hex, 'mask?': hex }),
  'read-mem': shape({ op: text, addr: hex, u64: list(hex), 'mask?': list(hex) }),
  dma: shape({
    op: text,
    bdf,
    dir: oneOf('read', 'write', 'atomic'),
    iova: hex,
    len: count,
    'at?': oneOf('translated'),
    'pasid?': hex,
    'exec?': bit,
    'priv?': bit,
    'noSnoop?': bit,
    result,
  }),
  msi: shape({ op: text, bdf, addr: hex, data: hex, result }),
  ats: shape({ op: text, bdf, iova: hex, 'pasid?': hex, 'nw?': bit, 'exec?': bit, 'priv?': bit, result }),
  'page-request': shape({
    op: text,
    bdf,
    addr: hex,
    'pasid?': hex,
    r: bit,
    w: bit,
    last: bit,
    prg: count,
    'exec?': bit,
    'priv?': bit,
    result,
  }),
  'pending-vectors': shape({ op: text, value: list(hex) }),
  events: shape({ op: text, events, 'evtTail?': hex, 'status?': hex }),
  messages: shape({ op: text, messages: list(message) }),
  device: shape({ op: text, bdf, devTlb: text }),
  advance: shape({ op: text, ms: count }),
  note: shape({ op: text, 'text?': text, 'words?': () => undefined }),
}

const hexes: Check = (value, path, found) => {
  for (const [name, word] of Object.entries(value ?? {})) hex(word, `${path}.${name}`, found)
}
const hwCase = shape({
  name: text,
  group: text,
  'note?': text,
  unit: test('an object', (v) => typeof v === 'object' && v !== null),
  'topology?': oneOf('rootport', 'bridges'),
  'confidence?': oneOf('high', 'medium', 'low'),
  'why?': text,
  'after?': hexes,
  'qemuLog?': list(text),
  steps: list(() => undefined),
})
const head = shape({
  format: test('1 or 2', (v) => v === 1 || v === 2),
  source: text,
  iommu: oneOf('intel', 'amd'),
  mmioBase: hex,
  ramBytes: count,
  devices: test('an object', (v) => typeof v === 'object' && v !== null),
  cases: list(() => undefined),
})

/**
 * Reads a file of cases.
 * @param source the JSON text, or the value it parses to
 * @param name the file's name; its endings `.json` and `.gz` are dropped
 * @throws Error with one line: file, case, step, field, what is wrong; an unknown `op` is wrong too
 */
export function readCaseFile(source: unknown, name: string): CaseFile {
  const short = name.replace(/^.*\//, '').replace(/(\.json)?(\.gz)?$/, '')
  const file = (typeof source === 'string' ? JSON.parse(source) : source) as CaseFile
  const found: Findings = { wrong: [], unread: [] }
  head(file, '', found)
  refuse(found, short)
  return { ...file, name: short, cases: file.cases.map((one, i) => readCase(one, i, short)) }
}

function readCase(one: HwCase, index: number, file: string): HwCase {
  const found: Findings = { wrong: [], unread: [] }
  hwCase(one, '', found)
  refuse(found, `${file} cases[${index}]`)
  for (const [i, step] of one.steps.entries()) {
    const op = String((step as { op?: unknown } | null)?.op)
    const at = `${file} ${one.group}/${one.name} steps[${i}]`
    if (!Object.hasOwn(STEPS, op)) throw new Error(`${at}: op ${op} is unknown`)
    const inStep: Findings = { wrong: [], unread: [] }
    STEPS[op as StepOp](step, '', inStep)
    refuse(inStep, `${at} ${op}`)
    found.unread.push(...inStep.unread.map((field) => `steps[${i}].${field}`))
  }
  return { ...one, unread: found.unread }
}

function refuse({ wrong }: Findings, where: string): void {
  if (wrong.length > 0) throw new Error(`${where}: ${wrong[0]}`)
}
