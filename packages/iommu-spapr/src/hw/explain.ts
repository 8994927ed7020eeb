/** A translation told entry by entry: the window's TVE, then each level of its TCE table. */
import { DMA, type DmaRequest, type ExplainedEntry, type Explanation, hex, hpaOf } from '@ioasis/core'
import { reasonText } from '../spec/fault-reason.ts'
import { accessText } from '../spec/tce.ts'
import type { Phb } from './phb.ts'
import { setOf } from './tce-cache.ts'
import { WINDOW } from './tvt.ts'
import type { TceWalk, WalkedEntry } from './walk.ts'

/** What is looked at. */
export interface Explained {
  readonly phb: Phb
  readonly walk: TceWalk
  readonly qemu: boolean
}
type Ending = Pick<Explanation, 'status' | 'hpa' | 'pageBytes' | 'verdict'>

/** Explains what the bridge does with `request`; reads memory, changes nothing. */
export function explainTranslation(of: Explained, request: DmaRequest): Explanation {
  const { phb } = of
  const entries: ExplainedEntry[] = []
  const early = phb.early(request)
  const ending = early !== 0 ? refused(early) : byWindow(of, request, entries)
  return { unit: phb.name, entries, ...ending }
}

const refused = (status: number): Ending => ({ status, verdict: reasonText(status) })

function byWindow({ phb, walk }: Explained, request: DmaRequest, entries: ExplainedEntry[]): Ending {
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

function found(phb: Phb, walk: TceWalk, request: DmaRequest, window: number, where: string): Ending {
  const hpa = target(phb, request, window, walk.tceHi, walk.tceLo)
  const pageBytes = 2 ** (phb.windows.words[(window << 3) + 2] as number)
  return { status: DMA.OK, hpa, pageBytes, verdict: `${where}: the TCE leads to ${hex(hpa)}` }
}
function target(phb: Phb, { iovaHi, iovaLo }: DmaRequest, window: number, tceHi: number, tceLo: number): number {
  const { words } = phb.windows
  const [lo, hi] = [words[window << 3] as number, words[(window << 3) + 1] as number]
  return hpaOf(((tceHi & 0xf_ffff & ~hi) | (iovaHi & hi)) >>> 0, (tceLo & ~lo) | (iovaLo & lo))
}

/** A cached entry answers before the table does, right or stale. */
function withCache(phb: Phb, request: DmaRequest, window: number, ending: Ending): Ending {
  const { words } = phb.windows
  const at = window << 3
  const { iovaHi: hi, iovaLo: lo } = request
  const shift = words[at + 2] as number
  const [tagHi, tagLo] = [hi & ~(words[at + 1] as number), lo & ~(words[at] as number)]
  const entry = phb.cache.find(setOf(hi, lo, shift, window), tagHi, tagLo, words[at + 3] as number)
  if (entry < 0) return ending
  const tceLo = phb.cache.words[entry + 3] as number
  if ((tceLo & request.access) !== request.access) return ending
  const hpa = target(phb, request, window, phb.cache.words[entry + 4] as number, tceLo)
  if (hpa === ending.hpa) return { ...ending, verdict: `${ending.verdict}; so does the TCE cache` }
  const verdict = `a stale entry of the TCE cache leads to ${hex(hpa)}; in the table: ${ending.verdict}`
  return { status: DMA.OK, hpa, pageBytes: 2 ** shift, verdict }
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
