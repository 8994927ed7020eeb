/** A translation told entry by entry, from the tables as they are now, with a word on what the caches would answer. */
import {
  type Bdf,
  busOf,
  DMA,
  type DmaRequest,
  type ExplainedEntry,
  type Explanation,
  type Field,
  get,
  hex,
  type HostMemory,
  hpaOf,
  join,
  NO_PASID,
} from '@ioasis/core'
import { CONTEXT_HI, CONTEXT_LO, TT } from '../spec/context-entry.ts'
import { REASON, reasonText } from '../spec/fault-reason.ts'
import { ROOT } from '../spec/root-entry.ts'
import { SS, SS_ENTRY_NAMES } from '../spec/second-stage.ts'
import type { Capabilities } from './capabilities.ts'
import { CTX, ctxLevels } from './context-cache.ts'
import type { ContextLookup } from './context-lookup.ts'
import type { TranslationCaches } from './translation-caches.ts'
import { type SecondStageWalk, tableIndex } from './walk.ts'

/** What a unit lets `explainTranslation` look at. */
export interface UnitState {
  readonly name: string
  readonly memory: HostMemory
  readonly caps: Capabilities
  readonly lookup: ContextLookup
  readonly walk: SecondStageWalk
  readonly caches: TranslationCaches
  readonly translating: boolean
  readonly legacy: boolean
  readonly rootHi: number
  readonly rootLo: number
  /** The cached context entry of a requester, if any. */
  context(requester: Bdf): Int32Array | undefined
}

type Ending = Pick<Explanation, 'status' | 'hpa' | 'pageBytes' | 'verdict'>
type ExplainedField = ExplainedEntry['fields'][number]

/** Explains what the unit does with `request`; reads memory, changes nothing. */
export function explainTranslation(unit: UnitState, request: DmaRequest): Explanation {
  const entries: ExplainedEntry[] = []
  const ending = untabled(unit, request) ?? byTables(unit, request, entries)
  return { unit: unit.name, entries, ...withCaches(unit, request, ending) }
}

/** Requests that no table decides. */
function untabled(unit: UnitState, request: DmaRequest): Ending | undefined {
  if (!unit.translating) return passed(request, 'translation is off (GSTS.TES is 0)')
  if (request.pasid === NO_PASID && !request.translated && request.iovaHi === 0 && request.iovaLo >>> 20 === 0xfee) {
    return passed(request, 'the interrupt window is never translated')
  }
  if (!unit.legacy) return refused(REASON.MODE_INVALID)
  return request.pasid === NO_PASID ? undefined : refused(REASON.MODE_PASID)
}

function byTables(unit: UnitState, request: DmaRequest, entries: ExplainedEntry[]): Ending {
  const { requester } = request
  const status = unit.lookup.read(unit.rootHi, unit.rootLo, requester)
  const root = readWords(unit, unit.rootHi, (unit.rootLo & ~0xfff) | (busOf(requester) << 4), 2)
  if (!root) return refused(status)
  const stopsAtRoot = status === REASON.ROOT_NOT_PRESENT || status === REASON.ROOT_RESERVED
  entries.push(rootEntry(root, busOf(requester), stopsAtRoot ? reasonText(status) : undefined))
  if (stopsAtRoot) return refused(status)
  const context = readWords(unit, root.hi, (root.lo & ~0xfff) | ((requester & 0xff) << 4), 2)
  if (!context) return refused(status)
  entries.push(contextEntry(context, requester & 0xff, status === DMA.OK ? undefined : reasonText(status)))
  const cached = unit.context(requester)
  if (!cached) return status === DMA.OK ? byContext(unit, request, unit.lookup.entry, entries) : refused(status)
  const ending = byContext(unit, request, cached, entries)
  if (status === DMA.OK && same(cached, unit.lookup.entry)) return ending
  return { ...ending, verdict: `by the context cache, which holds another entry than the table: ${ending.verdict}` }
}

/** What follows from a context entry in the words of the context cache. */
function byContext(unit: UnitState, request: DmaRequest, entry: Int32Array, entries: ExplainedEntry[]): Ending {
  const flags = entry[0] as number
  if (request.translated) {
    return flags & CTX.DEVICE_TLB ? passed(request, 'the device translated it itself') : refused(REASON.BLOCKED_TYPE)
  }
  if (request.iovaHi & (entry[3] as number)) return refused(REASON.BEYOND_WIDTH)
  if (flags & CTX.PASS_THROUGH) return passed(request, 'the context entry passes requests through')
  return bySecondStage(unit, request, entry, entries)
}

function bySecondStage(unit: UnitState, request: DmaRequest, context: Int32Array, entries: ExplainedEntry[]): Ending {
  const { walk } = unit
  const { iovaHi, iovaLo } = request
  const status = walk.walk(context, 0, request)
  let lo = context[1] as number
  let hi = context[2] as number
  for (let level = ctxLevels(context[0] as number); level >= walk.level; level--) {
    const index = tableIndex(level, iovaHi, iovaLo)
    const words = readWords(unit, hi, lo | (index << 3), 1)
    if (!words) break
    const last = level === walk.level
    const leafBytes = last && status === DMA.OK ? unit.caches.iotlb.table(level).offsetMask + 1 : undefined
    entries.push(
      pagingEntry(words, {
        level,
        index,
        leafBytes,
        refusal: last && status !== DMA.OK ? reasonText(status) : undefined,
      }),
    )
    lo = words.lo & ~0xfff
    hi = words.hi & 0xf_ffff
  }
  if (status !== DMA.OK) return refused(status)
  const pageBytes = unit.caches.iotlb.table(walk.level).offsetMask + 1
  const hpa = hpaOf(walk.frameHi, walk.frameLo | (iovaLo & (pageBytes - 1)))
  return { status, hpa, pageBytes, verdict: `the tables lead to ${hex(hpa)}` }
}

/** A cached leaf answers before the tables do, right or stale. */
function withCaches(unit: UnitState, request: DmaRequest, ending: Ending): Ending {
  const context = unit.context(request.requester) ?? fresh(unit, request.requester)
  if (!unit.legacy || !context || request.translated || request.pasid !== NO_PASID) return ending
  if ((context[0] as number) & CTX.PASS_THROUGH || request.iovaHi & (context[3] as number)) return ending
  const { caches } = unit
  if (!caches.find(request, context[0] as number, 1, false)) return ending
  const { table, at } = caches
  const hpa = hpaOf(
    table.words[at + 4] as number,
    ((table.words[at + 3] as number) & ~0xfff) | (request.iovaLo & table.offsetMask),
  )
  if (hpa === ending.hpa) return { ...ending, verdict: `${ending.verdict}; so does the IOTLB` }
  const verdict = `a stale IOTLB entry leads to ${hex(hpa)}; in the tables: ${ending.verdict}`
  return { status: DMA.OK, hpa, pageBytes: table.offsetMask + 1, verdict }
}

/** The context entry that the unit would cache now; undefined when it would find none. */
function fresh(unit: UnitState, requester: Bdf): Int32Array | undefined {
  const { lookup, caches } = unit
  if (lookup.read(unit.rootHi, unit.rootLo, requester) !== DMA.OK) return undefined
  const entry = lookup.entry.slice()
  if (caches.contexts.former.has(requester)) entry[0] = (entry[0] as number) | CTX.MOVED
  return entry
}

/** Whether two context entries say the same; `MOVED` is about the cache alone. */
function same(a: Int32Array, b: Int32Array): boolean {
  return (((a[0] as number) ^ (b[0] as number)) & ~CTX.MOVED) === 0 && a[1] === b[1] && a[2] === b[2] && a[3] === b[3]
}

const refused = (status: number): Ending => ({ status, verdict: reasonText(status) })
function passed(request: DmaRequest, why: string): Ending {
  return { status: DMA.OK, hpa: hpaOf(request.iovaHi, request.iovaLo), verdict: `${why}: the address stays as it is` }
}

interface Words {
  readonly hpa: number
  readonly lo: number
  readonly hi: number
  readonly lo1: number
  readonly hi1: number
  readonly values: readonly bigint[]
}
function readWords(unit: UnitState, hi: number, lo: number, count: 1 | 2): Words | undefined {
  const read: [number, number][] = []
  for (let i = 0; i < count; i++) {
    if (!unit.memory.loadEntry(hi, lo + i * 8, unit.caps.coherent)) return undefined
    read.push([unit.memory.entryLo, unit.memory.entryHi])
  }
  const [first, second = [0, 0]] = read as [[number, number], [number, number] | undefined]
  const values = read.map(([low, high]) => join(high, low))
  return { hpa: hpaOf(hi, lo), lo: first[0], hi: first[1], lo1: second[0], hi1: second[1], values }
}

const named = (name: string, f: Field, lo: number, hi: number): ExplainedField => ({ name, value: hex(get(f, lo, hi)) })
const addressField = (name: string, { lo, hi }: Words): ExplainedField => ({
  name,
  value: hex(hpaOf(hi & 0xf_ffff, lo & ~0xfff)),
})

function rootEntry(words: Words, index: number, refusal: string | undefined): ExplainedEntry {
  const table = addressField('CTP', words)
  return {
    name: 'root entry',
    hpa: words.hpa,
    index,
    words: words.values,
    fields: [named('P', ROOT.P, words.lo, words.hi), table],
    verdict: refusal ?? `the context table of the bus is at ${table.value}`,
  }
}
function contextEntry(words: Words, index: number, refusal: string | undefined): ExplainedEntry {
  const { lo, hi, lo1, hi1 } = words
  const table = addressField('SSPTPTR', words)
  const fields = [
    named('P', CONTEXT_LO.P, lo, hi),
    named('FPD', CONTEXT_LO.FPD, lo, hi),
    { ...named('TT', CONTEXT_LO.TT, lo, hi), meaning: TYPES[get(CONTEXT_LO.TT, lo, hi)] as string },
    table,
    { ...named('AW', CONTEXT_HI.AW, lo1, hi1), meaning: `${get(CONTEXT_HI.AW, lo1, hi1) + 2} levels` },
    named('DID', CONTEXT_HI.DID, lo1, hi1),
  ]
  const where = get(CONTEXT_LO.TT, lo, hi) === TT.PASS_THROUGH ? 'no table is walked' : `top table at ${table.value}`
  const verdict = refusal ?? `domain ${get(CONTEXT_HI.DID, lo1, hi1)}, ${where}`
  return { name: 'context entry', hpa: words.hpa, index, words: words.values, fields, verdict }
}
const TYPES: readonly string[] = [
  'through the tables',
  'through the tables, device TLB allowed',
  'passed through',
  'reserved',
]

interface PagingEntry {
  readonly level: number
  readonly index: number
  readonly leafBytes: number | undefined
  readonly refusal: string | undefined
}
function pagingEntry(words: Words, { level, index, leafBytes, refusal }: PagingEntry): ExplainedEntry {
  const { lo, hi } = words
  const address = addressField('ADDR', words)
  const leads =
    leafBytes === undefined
      ? `the next table is at ${address.value}`
      : `maps ${hex(leafBytes)} bytes at ${address.value}`
  return {
    name: SS_ENTRY_NAMES[level] as string,
    hpa: words.hpa,
    index,
    words: words.values,
    fields: [
      named('R', SS.R, lo, hi),
      named('W', SS.W, lo, hi),
      named('PS', SS.PS, lo, hi),
      named('SNP', SS.SNP, lo, hi),
      address,
    ],
    verdict: refusal ?? leads,
  }
}
