/** A translation told entry by entry, from the tables as they are now, with a word on what the caches would answer. */
import { DMA, type DmaRequest, type ExplainedEntry, type Explanation, hex, hpaOf, NO_PASID } from '@ioasis/core'
import { DEVICE_REQUEST, EVENT_CODE, EVENT_FLAG } from '../spec/event.ts'
import type { Capabilities } from './capabilities.ts'
import { DTE, DTE_MORE, DTE_WORDS_SHIFT } from './dte-cache.ts'
import type { DteReader } from './dte-reader.ts'
import { deviceEntry, tableEntry } from './explain-entries.ts'
import { codeOf, reason } from './fault.ts'
import type { GuestWalk } from './guest-walk.ts'
import { type HostWalk, LEAF, type TrailEntry } from './host-walk.ts'
import type { Iotlb, IotlbTable } from './iotlb.ts'
import type { TranslationCaches } from './translation-caches.ts'

/** What a unit lets `explainTranslation` look at. */
export interface UnitState {
  readonly name: string
  readonly caps: Capabilities
  readonly caches: TranslationCaches
  readonly reader: DteReader
  readonly host: HostWalk
  readonly guest: GuestWalk
  readonly on: boolean
  readonly qemu: boolean
  readonly rootTranslated: boolean
  excluded(more: number, hi: number, lo: number): boolean
  setHostTable(bus: Int32Array, at: number): void
  withRequest(request: DmaRequest, status: number): number
  reasonText(status: number): string
}

type Ending = Pick<Explanation, 'status' | 'hpa' | 'pageBytes' | 'verdict'>

const { GN, PR, PE, RW, I } = EVENT_FLAG
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)

/** Explains what the unit does with `request`; reads memory, changes nothing. */
export function explainTranslation(unit: UnitState, request: DmaRequest): Explanation {
  const entries: ExplainedEntry[] = []
  const ending = untabled(unit, request) ?? byDeviceTable(unit, request, entries)
  return { unit: unit.name, entries, ...ending }
}

/** Requests that no table decides. */
function untabled(unit: UnitState, request: DmaRequest): Ending | undefined {
  if (!unit.on) return passed(request, 'the unit is off (CTRL.IommuEn is 0)')
  if (unit.qemu && !unit.caches.devices.isActive(request.requester))
    return passed(request, 'no INVALIDATE_DEVTAB_ENTRY named the function yet')
  if (inWindow(request) && request.pasid === NO_PASID && !request.translated && (unit.qemu || request.access === 2))
    return passed(request, 'writes to the interrupt range are messages')
  return undefined
}
const inWindow = ({ iovaHi, iovaLo }: DmaRequest): boolean => iovaHi === 0 && iovaLo >>> 20 === 0xfee

function byDeviceTable(unit: UnitState, request: DmaRequest, entries: ExplainedEntry[]): Ending {
  const { reader, caches } = unit
  const { requester } = request
  const status = reader.read(requester)
  if (status !== DMA.OK && codeOf(status) !== EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY)
    return refused(unit, told(unit, request, status))
  entries.push(deviceEntry(reader, requester, status === DMA.OK ? undefined : unit.reasonText(status)))
  const at = (requester & 0xff) << DTE_WORDS_SHIFT
  if (!unit.qemu && caches.devices.has(requester)) {
    const cached = caches.devices.bus(requester).slice(at, at + 16)
    const ending = byEntry(unit, request, cached, entries)
    if (status === DMA.OK && sameEntry(cached, reader.entry)) return ending
    return {
      ...ending,
      verdict: `by the device table cache, which holds another entry than the table: ${ending.verdict}`,
    }
  }
  return status === DMA.OK
    ? byEntry(unit, request, reader.entry.slice(), entries)
    : refused(unit, told(unit, request, status))
}
/** The reason as `translate` gives it where no entry could be used. */
const told = (unit: UnitState, request: DmaRequest, status: number): number =>
  status | (request.access & 2 && !unit.qemu ? RW << 4 : 0)

/** What follows from an entry in the words of the device table cache. */
function byEntry(unit: UnitState, request: DmaRequest, entry: Int32Array, entries: ExplainedEntry[]): Ending {
  const flags = entry[0] as number
  const more = entry[5] as number
  const fault = (status: number): Ending => refused(unit, unit.withRequest(request, status))
  if ((flags & DTE.V) === 0) return passed(request, 'the entry is not valid (V is 0)')
  if (request.translated) {
    if (more & DTE_MORE.I) return passed(request, 'the device translated it itself')
    return fault(reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.PRETRANSLATED << 9))
  }
  if (request.pasid !== NO_PASID) {
    if (inWindow(request)) return fault(reason(EVENT_CODE.IO_PAGE_FAULT, GN | I))
    if ((more & DTE_MORE.GV) === 0) return fault(reason(EVENT_CODE.IO_PAGE_FAULT, GN))
    return byGuest(unit, request, entry, request.pasid, entries)
  }
  if (inWindow(request)) return fault(reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.INTERRUPT_READ << 9))
  if (unit.excluded(more, request.iovaHi, request.iovaLo))
    return passed(request, 'the exclusion range is not translated')
  if (flags & DTE.TABLES) return byHost(unit, request, entry, entries)
  if (flags & DTE.GUEST) return byGuest(unit, request, entry, 0, entries)
  if ((flags & DTE.PASS) === 0) return fault(ABSENT)
  if (((flags >>> 4) & request.access) !== request.access) return fault(reason(EVENT_CODE.IO_PAGE_FAULT, PR | PE))
  return passed(request, 'the entry asks for no translation (Mode is 0)')
}

function byHost(unit: UnitState, request: DmaRequest, entry: Int32Array, entries: ExplainedEntry[]): Ending {
  const { iovaHi, iovaLo, access } = request
  if ((iovaHi & (entry[3] as number)) | (iovaLo & (entry[4] as number)))
    return refused(unit, unit.withRequest(request, ABSENT))
  const { host, caches } = unit
  const owner = unit.qemu ? request.requester & 0xffff : (entry[0] as number) >>> 16
  unit.setHostTable(entry, 0)
  const ending = walked(unit, request, host, entries, () => host.walk(iovaHi, iovaLo, access, false))
  return withCaches(request, caches.iotlb, owner, NO_PASID, ending)
}
function byGuest(
  unit: UnitState,
  request: DmaRequest,
  entry: Int32Array,
  pasid: number,
  entries: ExplainedEntry[],
): Ending {
  const { guest, caches } = unit
  unit.setHostTable(entry, 0)
  const walk = (): number => guest.walk(entry, 0, pasid, request, unit.rootTranslated, false)
  const ending = walked(unit, request, guest, entries, walk)
  return withCaches(request, caches.guest, (entry[0] as number) >>> 16, pasid, ending)
}

/** Walks with the trail on: then the walkers leave tables and caches alone. */
function walked(
  unit: UnitState,
  request: DmaRequest,
  walk: HostWalk | GuestWalk,
  entries: ExplainedEntry[],
  run: () => number,
): Ending {
  const trail: TrailEntry[] = []
  unit.host.trail = unit.guest.trail = trail
  const status = run()
  unit.host.trail = unit.guest.trail = undefined
  const final = status === DMA.OK ? status : unit.withRequest(request, status)
  for (const [i, one] of trail.entries()) {
    const last = i === trail.length - 1
    entries.push(tableEntry(one, last && final !== DMA.OK ? unit.reasonText(final) : undefined))
  }
  if (final !== DMA.OK) return refused(unit, final)
  const hpa = within(walk.shift, walk.frameHi, walk.frameLo, request)
  return { status: final, hpa, pageBytes: 2 ** walk.shift, verdict: `the tables lead to ${hex(hpa)}` }
}
const within = (shift: number, frameHi: number, frameLo: number, { iovaHi, iovaLo }: DmaRequest): number =>
  hpaOf(
    frameHi | (shift > 32 ? iovaHi & ((1 << (shift - 32)) - 1) : 0),
    frameLo | (iovaLo & (shift >= 32 ? -1 : (1 << shift) - 1)),
  )

/** A cached leaf answers before the tables do, right or stale. */
function withCaches(request: DmaRequest, iotlb: Iotlb, owner: number, pasid: number, ending: Ending): Ending {
  const { iovaHi, iovaLo, access } = request
  const holds = (table: IotlbTable): boolean => {
    const at = table.find(iovaHi, iovaLo, owner, pasid)
    return at >= 0 && ((table.words[at + 3] as number) & access) === access
  }
  const table = [iotlb.pages, ...iotlb.larger].find(holds)
  if (!table) return withAbsent(request, iotlb, owner, pasid, ending)
  const at = table.find(iovaHi, iovaLo, owner, pasid)
  const frame = (table.words[at + 3] as number) & ~0xfff
  const hpa = within(table.shift, table.words[at + 4] as number, frame, request)
  if (hpa === ending.hpa) return { ...ending, verdict: `${ending.verdict}; so does the IOTLB` }
  const verdict = `a stale IOTLB entry leads to ${hex(hpa)}; in the tables: ${ending.verdict}`
  return { status: DMA.OK, hpa, pageBytes: 2 ** table.shift, verdict }
}
/** An absent entry that is cached refuses whatever stands in the tables by now. */
function withAbsent(
  { iovaHi, iovaLo, access }: DmaRequest,
  iotlb: Iotlb,
  owner: number,
  pasid: number,
  ending: Ending,
): Ending {
  const at = iotlb.pages.find(iovaHi, iovaLo, owner, pasid)
  if (at < 0 || ((iotlb.pages.words[at + 3] as number) & LEAF.ABSENT) === 0 || ending.status !== DMA.OK) return ending
  const status = reason(EVENT_CODE.IO_PAGE_FAULT, access & 2 ? RW : 0)
  return { status, verdict: `the IOTLB holds that nothing was there; in the tables: ${ending.verdict}` }
}

/** Whether two entries say the same; that a fault was logged is about the cache alone. */
function sameEntry(a: Int32Array, b: Int32Array): boolean {
  return a.every((word, i) => ((word ^ (b[i] as number)) & (i === 5 ? ~DTE_MORE.FAULTED : -1)) === 0)
}
const refused = (unit: UnitState, status: number): Ending => ({ status, verdict: unit.reasonText(status) })
function passed(request: DmaRequest, why: string): Ending {
  return { status: DMA.OK, hpa: hpaOf(request.iovaHi, request.iovaLo), verdict: `${why}: the address stays as it is` }
}
