/** A machine in plain data, whoever described it: functions with their configuration spaces, memory, tables, recorded groups. */
import { type Bdf, busOf, CompositionError, formatBdf, hex, isBridge, type ReservedRegion } from '@ioasis/core'
import type { RecordedBar } from '@ioasis/devices'

/** One function. */
export interface DescribedFunction {
  readonly segment: number
  readonly bdf: Bdf
  /** 256 or 4096 bytes. */
  readonly config: Uint8Array
  readonly bars: readonly RecordedBar[]
  /** BARs of each virtual function, where the SR-IOV capability has any. */
  readonly vfBars: readonly RecordedBar[]
  /** The kernel driver bound to it; undefined: none, or not told. */
  readonly driver: string | undefined
  /** Text of its sysfs files, and the names in its directory; empty where the source does not tell. */
  readonly attributes: Readonly<Record<string, string>>
  readonly files: readonly string[]
}

/** A group as a running kernel showed it. */
export interface DescribedGroup {
  readonly id: number
  /** `DMA`, `DMA-FQ`, `identity`. */
  readonly type: string
  readonly members: readonly string[]
  readonly reserved: readonly Pick<ReservedRegion, 'first' | 'last' | 'type'>[]
}

/** The IOMMU of a machine, from its capability registers. */
export type DescribedIommu =
  | { readonly kind: 'intel'; readonly registers: number; readonly cap: bigint; readonly ecap: bigint }
  | { readonly kind: 'amd'; readonly features: bigint }

/** A machine. */
export interface MachineDescription {
  readonly name: string
  /** Where the description comes from, in a sentence. */
  readonly origin: string
  /** In bus order. */
  readonly functions: readonly DescribedFunction[]
  /** RAM by address; empty where the source does not tell. */
  readonly ram: readonly { readonly first: number; readonly bytes: number }[]
  readonly iommu: DescribedIommu | undefined
  /** ACPI tables by signature. */
  readonly acpi: Readonly<Record<string, Uint8Array>>
  /** Groups as recorded; undefined where the source does not tell. */
  readonly groups: readonly DescribedGroup[] | undefined
  /** What had to be assumed, in sentences: shown to people, never acted on. */
  readonly assumed: readonly string[]
}

/** What a function is called: `0000:01:00.0`. */
export const nameOfFunction = (fn: { readonly segment: number; readonly bdf: Bdf }): string =>
  formatBdf(fn.bdf, fn.segment)

/** A function's key: segment and bdf in one number, which sorts in bus order. */
export const keyOf = (fn: { readonly segment: number; readonly bdf: Bdf }): number => fn.segment * 0x1_0000 + fn.bdf

/** Secondary and subordinate bus of a bridge. */
export const busesBehind = (config: Uint8Array): { readonly secondary: number; readonly subordinate: number } => ({
  secondary: config[0x19] as number,
  subordinate: config[0x1a] as number,
})

/** Whether it is a bridge that was given a bus. */
export const leadsToBus = ({ config }: { readonly config: Uint8Array }): boolean =>
  isBridge(config) && busesBehind(config).secondary > 0

/**
 * Checks what must hold between functions: no place taken twice, no BAR over another one, every bus reached.
 * @param source names the text in the message
 * @param sizesKnown BAR sizes were told, not assumed: only then overlaps are refused
 * @throws CompositionError naming source, function, value and rule
 */
export function checkMachine(source: string, functions: readonly DescribedFunction[], sizesKnown: boolean): void {
  const seen = new Set<number>()
  for (const fn of functions) {
    if (seen.has(keyOf(fn))) throw new CompositionError(`${source}: ${nameOfFunction(fn)}: described twice`)
    seen.add(keyOf(fn))
  }
  for (const fn of functions) checkBus(source, fn, functions)
  if (sizesKnown) checkBars(source, functions)
}

/** A bus that lies inside a bridge's range must be the secondary bus of some bridge. */
function checkBus(source: string, fn: DescribedFunction, functions: readonly DescribedFunction[]): void {
  const bus = busOf(fn.bdf)
  const covering = functions.filter((b) => {
    const { secondary, subordinate } = busesBehind(b.config)
    return b.segment === fn.segment && leadsToBus(b) && bus >= secondary && bus <= subordinate
  })
  const parents = covering.filter((b) => busesBehind(b.config).secondary === bus)
  if (covering.length > 0 && parents.length === 0) {
    throw new CompositionError(`${source}: ${nameOfFunction(fn)}: no bridge has bus ${hex(bus)} as its secondary bus`)
  }
  if (parents.length > 1) {
    const names = parents.map(nameOfFunction).join(' and ')
    throw new CompositionError(`${source}: ${nameOfFunction(fn)}: bus ${hex(bus)} is the secondary bus of ${names}`)
  }
}

interface Placed {
  readonly fn: DescribedFunction
  readonly index: number
  readonly first: number
  readonly last: number
}

function checkBars(source: string, functions: readonly DescribedFunction[]): void {
  for (const io of [true, false]) {
    const placed = functions.flatMap((fn) => placedBars(fn, io)).toSorted((a, b) => a.first - b.first)
    placed.forEach((b, i) => {
      const a = placed[i - 1]
      if (!a || b.first > a.last) return
      throw new CompositionError(
        `${source}: ${nameOfFunction(b.fn)}: BAR ${b.index} at ${hex(b.first)} overlaps BAR ${a.index} of ${nameOfFunction(a.fn)} at ${hex(a.first)}-${hex(a.last)}`,
      )
    })
  }
}

/** BARs with an address. ROMs decode only when switched on and are left out. */
function placedBars(fn: DescribedFunction, io: boolean): Placed[] {
  const view = new DataView(fn.config.buffer, fn.config.byteOffset, fn.config.length)
  return fn.bars.flatMap(({ index, size, space, wide }) => {
    if (space === 'rom' || (space === 'io') !== io) return []
    const low = (view.getUint32(0x10 + 4 * index, true) & (io ? ~3 : ~15)) >>> 0
    const first = low + (wide ? view.getUint32(0x14 + 4 * index, true) * 0x1_0000_0000 : 0)
    return first === 0 ? [] : [{ fn, index, first, last: first + size - 1 }]
  })
}
