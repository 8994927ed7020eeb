/**
 * Shows that the player notices: changes one expected value of a case, plays it again, and asks whether a difference came
 * up. Only values that are compared are changed, and only in the bits that count.
 */
import { hex } from '@ioasis/core'
import { RandomSource } from '../random-source.ts'
import type { CaseFile, FaultRecord, HwCase, LogEvent } from './case-file.ts'
import { caredBits } from './compare.ts'
import { EVENT_FIELDS, type LogField, RECORD_FIELDS } from './log-fields.ts'
import { type CaseOutcome, playCase, type PlayOptions } from './player.ts'
import { registerPlace } from './registers.ts'
import { selected } from './select.ts'

/** A place in a case that holds an expectation. */
interface Site {
  readonly path: string
  /** Changes it. */
  change(random: RandomSource): void
}
type Tree = Record<string, unknown>
/** Addresses and registers are changed in their lower half. */
const WORD = 0xffff_ffffn

/** A case with one expectation changed. */
export interface MutatedCase {
  readonly mutated: HwCase
  /** Where. */
  readonly path: string
}

/**
 * Changes one expected value.
 * @param outcome of the unchanged case: where it leaves a choice, the alternative that the unit took is changed
 * @returns undefined when the case expects nothing
 */
export function mutateCase(
  iommu: CaseFile['iommu'],
  hwCase: HwCase,
  outcome: Pick<CaseOutcome, 'alternatives'>,
  random: RandomSource,
): MutatedCase | undefined {
  // A case is plain JSON: copied as such.
  const mutated = JSON.parse(JSON.stringify(hwCase)) as HwCase
  const sites = sitesOf(iommu, mutated, new Map(outcome.alternatives.map((a) => [a.step, a.alternative])))
  if (sites.length === 0) return undefined
  const site = random.pick(sites)
  site.change(random)
  return { mutated, path: site.path }
}

/** What a mutation check found. */
export interface MutationReport {
  /** Cases changed. */
  readonly mutated: number
  readonly noticed: number
  /** Changes that nobody noticed: case and path. */
  readonly missed: readonly string[]
}

/**
 * Changes one expectation in each selected case that is asserted and passes, and counts those that the player notices.
 * @param seed which expectations, and how: any integer
 */
export function checkMutations(file: CaseFile, options: PlayOptions, seed: number): MutationReport {
  const random = new RandomSource(seed)
  const missed: string[] = []
  let count = 0
  for (const hwCase of file.cases.filter((one) => selected(one, options.select))) {
    const outcome = playCase(file, hwCase, options)
    if (outcome.exempt !== undefined || outcome.differences.length > 0) continue
    const mutation = mutateCase(file.iommu, hwCase, outcome, random)
    if (!mutation) continue
    count++
    if (playCase(file, mutation.mutated, options).differences.length === 0)
      missed.push(`${outcome.case} ${mutation.path}`)
  }
  return { mutated: count, noticed: count - missed.length, missed }
}

function sitesOf(iommu: CaseFile['iommu'], hwCase: HwCase, taken: ReadonlyMap<number, number>): Site[] {
  const sites = hwCase.steps.flatMap((step, i) => {
    const tree = step as unknown as Tree
    const at = `steps[${i}].${step.op}`
    if (step.op === 'read-reg') return flip(tree, 'value', `${at}.value`, maskOf(step.mask, step.size * 8))
    if (step.op === 'read-mem') {
      const words = step.u64 as unknown as Tree
      return step.u64.flatMap((_, k) => flip(words, String(k), `${at}.u64[${k}]`, maskOf(step.mask?.[k], 64)))
    }
    if (step.op === 'pending-vectors') return listSite(tree, 'value', `${at}.value`, '0xee')
    if (step.op === 'messages')
      return listSite(tree, 'messages', `${at}.messages`, { kind: 'fault-event', addr: '0x0', data: '0x0' })
    if (step.op === 'events') return faultSites(tree, at)
    if (step.op === 'reg') return memWriteSites(step.memWrites, `${at}.memWrites`)
    return 'result' in step ? resultSites(step.result as unknown as Tree, `${at}.result`, taken.get(i) ?? 0) : []
  })
  const after = Object.keys(hwCase.after ?? {}).flatMap((name) =>
    flip(hwCase.after as Tree, name, `after.${name}`, maskOf(undefined, (registerPlace(iommu, name)?.[1] ?? 4) * 8)),
  )
  return [...sites, ...after]
}

function resultSites(result: Tree, at: string, taken: number): Site[] {
  const alternative = (result['anyOf'] as Tree[] | undefined)?.[taken]
  if (alternative) return resultSites(alternative, `${at}.anyOf[${taken}]`, 0)
  return [
    ...choice(result, 'bus', at, ['ok', 'error']),
    ...choice(result, 'coherency', at, ['snoop', 'no-snoop']),
    ...choice(result, 'status', at, ['success', 'ur']),
    ...choice(result, 'r', at, [0, 1]),
    ...choice(result, 'w', at, [0, 1]),
    ...listSite(result, 'landed', `${at}.landed`, { addr: '0x3fff000', len: 8 }),
    ...listSite(result, 'read', `${at}.read`, { from: '0x3fff000', len: 8 }),
    ...listSite(result, 'delivered', `${at}.delivered`, '0xee'),
    ...memWriteSites(result['memWrites'], `${at}.memWrites`),
    ...memWriteSites(result['memWritesInclude'], `${at}.memWritesInclude`),
    ...pieceSites(result, at),
    ...(result['faults'] ? faultSites(result['faults'] as Tree, `${at}.faults`) : []),
  ]
}

/** Addresses, lengths and values inside `landed` and `read`. */
function pieceSites(result: Tree, at: string): Site[] {
  const sites: Site[] = []
  for (const list of ['landed', 'read']) {
    for (const [i, piece] of ((result[list] as Tree[] | undefined) ?? []).entries()) {
      const path = `${at}.${list}[${i}]`
      for (const key of ['addr', 'from', 'value'].filter((k) => k in piece))
        sites.push(...flip(piece, key, `${path}.${key}`, WORD))
      sites.push({ path: `${path}.len`, change: () => (piece['len'] = (piece['len'] as number) + 4) })
    }
  }
  return sites
}

function memWriteSites(writes: unknown, at: string): Site[] {
  return ((writes as Tree[] | undefined) ?? []).flatMap((write, i) =>
    ['addr', 'before', 'after'].flatMap((key) => flip(write, key, `${at}[${i}].${key}`, WORD)),
  )
}

function faultSites(faults: Tree, at: string): Site[] {
  return [
    ...['fsts', 'evtTail', 'status'].flatMap((key) =>
      faults[key] === undefined ? [] : flip(faults, key, `${at}.${key}`, WORD),
    ),
    ...entrySites(faults['records'], RECORD_FIELDS, `${at}.records`),
    ...entrySites(faults['events'], EVENT_FIELDS, `${at}.events`),
  ]
}

function entrySites(entries: unknown, fields: readonly LogField[], at: string): Site[] {
  const sites: Site[] = []
  for (const [i, entry] of ((entries as (FaultRecord | LogEvent)[] | undefined) ?? []).entries()) {
    const path = `${at}[${i}]`
    const care = caredBits(entry)
    const anyReason = Array.isArray(entry['reason']) ? (RECORD_FIELDS[0] as LogField).mask : 0n
    const bits = [care[0], care[1] & ~anyReason] as const
    for (const word of [0, 1] as const)
      sites.push(...flip(entry.raw as unknown as Tree, String(word), `${path}.raw[${word}]`, bits[word]))
    for (const field of fields)
      sites.push(...fieldSite(entry, field, `${path}.${field.name}`, field.mask & bits[field.word]))
  }
  return sites
}

/** Flips a bit of a field where it lies in the raw word, and writes the field anew. */
function fieldSite(entry: Tree, field: LogField, path: string, mask: bigint): Site[] {
  const value = entry[field.name]
  if (value === undefined || Array.isArray(value) || mask === 0n) return []
  const encoded = field.encode(value)
  if (encoded === undefined) return []
  return [{ path, change: (random) => (entry[field.name] = field.decode(encoded ^ randomBit(mask, random))) }]
}

function flip(holder: Tree, key: string, path: string, mask: bigint): Site[] {
  if (mask === 0n) return []
  return [{ path, change: (random) => (holder[key] = hex(BigInt(holder[key] as string) ^ randomBit(mask, random))) }]
}
function choice(holder: Tree, key: string, at: string, values: readonly unknown[]): Site[] {
  if (!values.includes(holder[key])) return []
  return [
    { path: `${at}.${key}`, change: (random) => (holder[key] = random.pick(values.filter((v) => v !== holder[key]))) },
  ]
}
/** Takes an item away, or adds one where there is none. */
function listSite(holder: Tree, key: string, path: string, extra: unknown): Site[] {
  if (!Array.isArray(holder[key])) return []
  return [
    {
      path,
      change: () =>
        (holder[key] = (holder[key] as unknown[]).length > 0 ? (holder[key] as unknown[]).slice(1) : [extra]),
    },
  ]
}

const maskOf = (mask: string | undefined, bits: number): bigint =>
  BigInt(mask ?? '0xffffffffffffffff') & ((1n << BigInt(bits)) - 1n)
function randomBit(mask: bigint, random: RandomSource): bigint {
  const bits = Array.from({ length: 64 }, (_, i) => 1n << BigInt(i)).filter((bit) => mask & bit)
  return random.pick(bits)
}
