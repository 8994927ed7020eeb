/** A translation told entry by entry: the window's TVE, then each level of its TCE table. */
import { type Bdf, DMA, type DmaRequest, type ExplainedEntry, type Explanation, hex, hpaOf } from '@ioasis/core'
import { reasonText } from '../spec/fault-reason.ts'
import { accessText } from '../spec/tce.ts'
import type { TceCache } from './tce-cache.ts'
import { WINDOW, type WindowTable } from './tvt.ts'
import type { TceWalk, WalkedEntry } from './walk.ts'

/** What a bridge lets `explainTranslation` look at. */
export interface BridgeState {
  readonly name: string
  readonly windows: WindowTable
  readonly cache: TceCache
  /** Why a request is refused before any window is looked at; 0: it is not. */
  early(request: DmaRequest): number
  /** The endpoint of a requester; undefined: none. */
  endpointOf(requester: Bdf): number | undefined
  /** Why an address cannot be looked up in its window; 0: it can. */
  outside(request: DmaRequest, window: number): number
}
type Ending = Pick<Explanation, 'status' | 'hpa' | 'pageBytes' | 'verdict'>

/** Explains what the bridge does with `request`; reads memory, changes nothing. */
export function explainTranslation(phb: BridgeState, walk: TceWalk, request: DmaRequest): Explanation {
  const entries: ExplainedEntry[] = []
  const early = phb.early(request)
  const ending = early !== 0 ? refused(early) : byWindow(phb, walk, request, entries)
  return { unit: phb.name, entries, ...ending }
}

const refused = (status: number): Ending => ({ status, verdict: reasonText(status) })

function byWindow(phb: BridgeState, walk: TceWalk, request: DmaRequest, entries: ExplainedEntry[]): Ending {
  const { iovaHi: hi, iovaLo: lo } = request
  const pe = phb.endpointOf(request.requester) as number
  const window = (pe << 1) | ((hi >>> 27) & 1)
  const where = `PE#${pe.toString(16)}, window ${window & 1}`
  if (hi >>> 28 === 1 || (hi === 0 && lo >>> 16 === 0xffff)) {
    return { status: DMA.OK, hpa: hpaOf(0, lo), verdict: `${where}: an interrupt message` }
  }
  const outside = phb.outside(request, window)
  if (outside !== 0) return { status: outside, verdict: `${where}: ${reasonText(outside)}` }
  if (phb.windows.kinds[window] === WINDOW.UNTRANSLATED) {
    const hpa = hpaOf(hi & 0x3_ffff, lo)
    return { status: DMA.OK, hpa, verdict: `${where} goes through untranslated, to ${hex(hpa)}` }
  }
  const status = walk.walk(window, request, (entry) => entries.push(told(entry)))
  return withCache(phb, request, window, status === 0 ? found(phb, walk, request, window, where) : refused(status))
}

function found(phb: BridgeState, walk: TceWalk, request: DmaRequest, window: number, where: string): Ending {
  const hpa = target(phb, request, window, walk.tceHi, walk.tceLo)
  const pageBytes = 2 ** (phb.windows.words[(window << 3) + 2] as number)
  return { status: DMA.OK, hpa, pageBytes, verdict: `${where}: the TCE leads to ${hex(hpa)}` }
}
function target(
  phb: BridgeState,
  { iovaHi, iovaLo }: DmaRequest,
  window: number,
  tceHi: number,
  tceLo: number,
): number {
  const { words } = phb.windows
  const [lo, hi] = [words[window << 3] as number, words[(window << 3) + 1] as number]
  return hpaOf(((tceHi & 0xf_ffff & ~hi) | (iovaHi & hi)) >>> 0, (tceLo & ~lo) | (iovaLo & lo))
}

/** A cached entry answers before the table does, right or stale. */
function withCache(phb: BridgeState, request: DmaRequest, window: number, ending: Ending): Ending {
  const { words } = phb.cache
  const { iovaHi: hi, iovaLo: lo } = request
  const owner = phb.windows.owners[window] as number
  const entry = phb.cache.find(hi, lo, owner)
  if (entry < 0) return ending
  const tceLo = words[entry + 3] as number
  if ((tceLo & request.access) !== request.access) return ending
  const inPart = (1 << owner) - 1
  const hpa = hpaOf(words[entry + 4] as number, (tceLo & ~inPart) | (lo & inPart))
  if (hpa === ending.hpa) return { ...ending, verdict: `${ending.verdict}; so does the TCE cache` }
  const verdict = `a stale entry of the TCE cache leads to ${hex(hpa)}; in the table: ${ending.verdict}`
  return { status: DMA.OK, hpa, pageBytes: 2 ** (phb.windows.words[(window << 3) + 2] as number), verdict }
}

function told({ level, index, hpa, hi, lo }: WalkedEntry): ExplainedEntry {
  const word = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)
  const address = word & 0xf_ffff_ffff_f000n
  const access = lo & 3
  return {
    name: level === 0 ? 'TCE' : `TCE of level ${level}`,
    hpa,
    index,
    words: [word],
    bigEndian: true,
    fields: [
      { name: level === 0 ? 'RPN' : 'table', value: hex(address) },
      { name: 'access', value: accessText(access), meaning: access === 0 ? 'not present' : 'device may' },
    ],
    verdict: access === 0 ? 'not present' : level === 0 ? `leads to ${hex(address)}` : `next table at ${hex(address)}`,
  }
}
