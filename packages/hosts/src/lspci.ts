/**
 * Reads `lspci -x`, `-xxx` or `-xxxx`, with or without `-D` and `-v` (pciutils, lspci(8)). The hex dump gives everything but
 * the sizes of BARs: those stand in `[size=…]` of -v. Without it a BAR that is in use is taken for 4 KiB of memory or 32
 * ports (less where its address allows no more), and the description says so.
 */
import { CAP, CompositionError, findCapability, hex, parseBdf } from '@ioasis/core'
import type { RecordedBar } from '@ioasis/devices'
import {
  checkMachine,
  type DescribedFunction,
  keyOf,
  type MachineDescription,
  nameOfFunction,
} from './machine-description.ts'

const HEX_LINE = /^([0-9a-f]{2,3}):((?: [0-9a-f]{2}){1,16})$/i
/** The beginning of a hex line; a heading has no blank after its first colon. */
const HEX_START = /^[0-9a-f]{2,3}:(?: |$)/i
const HEADING = /^((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7])(?: |$)/i
const SIZE = /\[size=(\d+)([KMGT]?)\]/
const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/** BARs by header type: a function, a bridge, a CardBus bridge. */
const BAR_COUNT: readonly number[] = [6, 2, 1]

const ASSUMED = { memory: 4096, io: 32 } as const
const LEAST = 4

/** A BAR as -v or -vv tells it. */
interface Told {
  /** -vv gives the index. */
  readonly index: number | undefined
  readonly address: number | undefined
  readonly size: number
  readonly rom: boolean
}

/** One function while it is read. */
interface Draft {
  readonly line: number
  readonly segment: number
  readonly bdf: number
  readonly bytes: number[]
  readonly told: Told[]
  driver: string | undefined
}

/**
 * Reads a dump.
 * @param text what lspci printed
 * @param source its name, for messages
 * @throws CompositionError one line naming source, line, value and rule
 */
export function parseLspci(text: string, source = 'lspci'): MachineDescription {
  const drafts = readLines(text, source)
  if (drafts.length === 0)
    throw new CompositionError(`${source}:1: no function found; the output of lspci -xxxx is needed`)
  const assumed: string[] = []
  const next = startsOfBars(drafts)
  const functions = drafts.map((draft) => finish(draft, source, assumed, next)).toSorted((a, b) => keyOf(a) - keyOf(b))
  checkMachine(source, functions, assumed.length === 0)
  const cut = functions.filter(({ config }) => config.length === 256 && findCapability(config, CAP.EXPRESS))
  if (cut.length > 0) assumed.push(noAcs(cut))
  return { name: source, origin: 'lspci', functions, ram: [], iommu: undefined, acpi: {}, groups: undefined, assumed }
}

const noAcs = (cut: readonly DescribedFunction[]): string =>
  `${cut.map(nameOfFunction).join(', ')}: no extended capabilities (lspci -xxxx as root shows them); ACS is taken for absent and groups may come out larger than they are`

function readLines(text: string, source: string): readonly Draft[] {
  const drafts: Draft[] = []
  const lines = text.split('\n')
  lines.forEach((raw, i) => {
    const line = raw.trimEnd()
    const refuse = (rule: string): never => {
      throw new CompositionError(`${source}:${i + 1}: "${line.length > 60 ? `${line.slice(0, 60)}…` : line}": ${rule}`)
    }
    if (line === '') return
    const draft = drafts.at(-1)
    if (/^\s/.test(raw)) return readDetail(line.trim(), draft)
    const heading = HEADING.exec(line)
    if (heading) {
      const place = parseBdf(heading[1] as string)
      if (!place) return refuse('not a place such as 0000:01:00.0')
      if (drafts.some((d) => keyOf(d) === keyOf(place))) return refuse('this function was described before')
      drafts.push({ ...place, line: i + 1, bytes: [], told: [], driver: undefined })
      return undefined
    }
    if (!HEX_START.test(line)) return refuse('neither a function nor a line of hex')
    if (!draft) return refuse('a line of hex before any function')
    return readHex(line, draft, refuse)
  })
  return drafts
}

function readHex(line: string, draft: Draft, refuse: (rule: string) => never): void {
  const m = HEX_LINE.exec(line)
  if (!m) return refuse('not an offset and up to 16 bytes in hexadecimal')
  const offset = parseInt(m[1] as string, 16)
  const bytes = (m[2] as string).trim().split(' ')
  if (offset !== draft.bytes.length) return refuse(`offset ${hex(draft.bytes.length)} is next`)
  if (bytes.length !== 16) return refuse(`${bytes.length} bytes; the line is cut, 16 are needed`)
  if (offset + 16 > 4096) return refuse('a configuration space has 4096 bytes')
  draft.bytes.push(...bytes.map((b) => parseInt(b, 16)))
}

/** A line of -v: only sizes of BARs and the driver matter. */
function readDetail(line: string, draft: Draft | undefined): void {
  if (!draft) return
  const driver = /^Kernel driver in use: (\S+)/.exec(line)
  if (driver) draft.driver = driver[1]
  const m = /^(?:Region (\d): |\[virtual\] )*(?:\[virtual\] )?(Memory at|I\/O ports at|Expansion ROM at) (\S+)/.exec(
    line,
  )
  const size = SIZE.exec(line)
  if (!m || !size) return
  const [, index, what, address] = m as unknown as [string, string | undefined, string, string]
  draft.told.push({
    index: index === undefined ? undefined : Number(index),
    address: /^[0-9a-f]+$/i.test(address) ? parseInt(address, 16) : undefined,
    size: Number(size[1]) * (UNITS[size[2] as string] as number),
    rom: what === 'Expansion ROM at',
  })
}

function finish(
  draft: Draft,
  source: string,
  assumed: string[],
  next: (io: boolean, address: number) => number,
): DescribedFunction {
  const { segment, bdf, bytes, driver } = draft
  const place = nameOfFunction(draft)
  const length = bytes.length
  if (length !== 64 && length !== 256 && length !== 4096) {
    throw new CompositionError(
      `${source}:${draft.line}: ${place} has ${length} bytes; 64 (-x), 256 (-xxx) or 4096 (-xxxx) are possible`,
    )
  }
  const config = new Uint8Array(length === 4096 ? 4096 : 256)
  config.set(bytes)
  if (length === 64 && (config[6] as number) & 0x10) {
    config[6] = (config[6] as number) & ~0x10
    assumed.push(`${place}: no capabilities: lspci -x shows 64 bytes; -xxxx shows them`)
  }
  return {
    segment,
    bdf,
    config,
    bars: barsOf(config, draft.told, place, assumed, next),
    vfBars: [],
    driver,
    attributes: {},
    files: [],
  }
}

/** A BAR's register, decoded. */
interface Register {
  readonly index: number
  readonly low: number
  readonly address: number
  readonly io: boolean
  readonly wide: boolean
}

/** The BAR registers of a header; the upper half of a 64-bit one is skipped. */
function registersOf(config: DataView): Register[] {
  const found: Register[] = []
  const count = BAR_COUNT[config.getUint8(0x0e) & 0x7f] ?? 0
  for (let index = 0; index < count; index++) {
    const low = config.getUint32(0x10 + 4 * index, true)
    const io = (low & 1) !== 0
    const wide = !io && (low & 6) === 4 && index + 1 < count
    const high = wide ? config.getUint32(0x14 + 4 * index, true) : 0
    found.push({ index, low, io, wide, address: high * 0x1_0000_0000 + ((low & (io ? ~3 : ~15)) >>> 0) })
    if (wide) index++
  }
  return found
}

/** Where BARs start, memory and ports apart: no assumed size may reach the next one. */
function startsOfBars(drafts: readonly Draft[]): (io: boolean, address: number) => number {
  const all = drafts.flatMap(({ bytes }) =>
    bytes.length >= 64 ? registersOf(new DataView(Uint8Array.from(bytes).buffer)) : [],
  )
  const starts = (io: boolean): readonly number[] =>
    all
      .filter((r) => r.io === io && r.address > 0)
      .map((r) => r.address)
      .toSorted((a, b) => a - b)
  const memory = starts(false)
  const ports = starts(true)
  return (io, address) => (io ? ports : memory).find((start) => start > address) ?? Infinity
}

/** BARs in use: those told with a size, and those whose register is not zero. */
function barsOf(
  config: Uint8Array,
  told: readonly Told[],
  place: string,
  assumed: string[],
  next: (io: boolean, address: number) => number,
): readonly RecordedBar[] {
  const bars: RecordedBar[] = []
  for (const { index, low, address, io, wide } of registersOf(new DataView(config.buffer))) {
    const known = told.find(
      (t) => !t.rom && (t.index === undefined ? address > 0 && t.address === address : t.index === index),
    )
    if (!known && low === 0) continue
    const size = known?.size ?? assumedSize(address, io, next(io, address))
    if (!known) assumed.push(`${place}: BAR ${index}: ${size} bytes: lspci -v tells the size`)
    bars.push({ index, size, space: io ? 'io' : 'memory', wide, prefetchable: !io && (low & 8) !== 0 })
  }
  const rom = told.find((t) => t.rom)
  if (rom) bars.push({ index: 6, size: Math.max(rom.size, 2048), space: 'rom', wide: false, prefetchable: false })
  return bars
}

/** The usual least size, or less where the address is not aligned to it or another BAR follows sooner. */
function assumedSize(address: number, io: boolean, next: number): number {
  let size: number = io ? ASSUMED.io : ASSUMED.memory
  while (size > LEAST && (address % size !== 0 || address + size > next)) size /= 2
  return size
}
