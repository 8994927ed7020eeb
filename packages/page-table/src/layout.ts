/** A format and a geometry, split into int32 words once, so that loops over entries meet neither bigint nor branches on names. */
import { hiWord, loWord, split } from '@ioasis/core'
import type { PageTableFormat, PageTableGeometry, PageTableLevel } from './format.ts'

/** One level, in words. */
export interface Level {
  readonly shift: number
  /** Bytes that one entry covers. */
  readonly bytes: number
  readonly indexMask: number
  readonly entries: number
  /** Of an entry that points to a table. */
  readonly tableLo: number
  readonly tableHi: number
  /** An entry is a pointer when it equals `tableLo`, `tableHi` under these; `hasTables` false: never. */
  readonly testedLo: number
  readonly testedHi: number
  readonly hasTables: boolean
}

/** One page size that may be used. */
export interface PageSize {
  readonly shift: number
  readonly bytes: number
  /** Offset bits within the page, as two words. */
  readonly maskLo: number
  readonly maskHi: number
  readonly level: number
  /** Entries that one page takes: more than one only when contiguous. */
  readonly repeat: number
  /** What marks a page of this size: page-size bit, size code. */
  readonly lo: number
  readonly hi: number
}

/** Everything that map, unmap and lookup ask about a format. */
export interface Layout {
  readonly name: string
  /** Level of the root at first, and the one it may grow to. */
  readonly topLevel: number
  readonly growsTo: number
  readonly iovaBits: number
  readonly levels: readonly Level[]
  /** Largest first. */
  readonly sizes: readonly PageSize[]
  /** Bytes of the smallest page. */
  readonly granule: number
  readonly tableBytes: number
  /** A bottom table reaches over 2^bottomShift bytes of iovas; at most 31. */
  readonly bottomShift: number
  /** Entries are stored with their bytes reversed. */
  readonly swapped: boolean
  readonly addressLo: number
  readonly addressHi: number
  /** First hpa that no entry can hold. */
  readonly hpaEnd: number
  readonly presentLo: number
  readonly presentHi: number
  /** The same bits as the two words of an entry in memory hold them. */
  readonly presentFirst: number
  readonly presentSecond: number
  readonly writableLo: number
  readonly writableHi: number
  /** Set in a leaf that was written through; both 0: cannot be told. */
  readonly dirtyLo: number
  readonly dirtyHi: number
  /** The same bits as the two words of an entry in memory hold them. */
  readonly dirtyFirst: number
  readonly dirtySecond: number
  /** All bits that tell a page's size or a pointer, apart from the address: what a split must replace. */
  readonly markLo: number
  readonly markHi: number
  /** Marks an entry that points to a table and was flushed; both 0: no mark. */
  readonly flushedLo: number
  readonly flushedHi: number
  /** Whether a page may take several entries, and how such an entry is told. */
  readonly hasContiguous: boolean
  readonly contiguousLo: number
  readonly contiguousHi: number
  readonly contiguousTestedLo: number
  readonly contiguousTestedHi: number
}

/** Reverses the bytes of an int32. */
export const swap32 = (v: number): number =>
  ((v & 0xff) << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)

/** Which entry of a table of this level an iova selects. */
export function indexAt(level: Level, hi: number, lo: number): number {
  const s = level.shift
  if (s >= 32) return (hi >>> (s - 32)) & level.indexMask
  return ((lo >>> s) | (s === 0 ? 0 : hi << (32 - s))) & level.indexMask
}

const lowWord = (value: bigint): number => (split(value), loWord())
const highWord = (value: bigint): number => (split(value), hiWord())
const ones = (count: number): bigint => (1n << BigInt(count)) - 1n

function levelOf(format: PageTableFormat, of: PageTableLevel): Level {
  if (of.bits + 3 > format.tableShift)
    throw new RangeError(`${format.name}: a level of ${of.bits} bits outgrows its table`)
  const tested = of.table?.tested ?? 0n
  const bits = of.table?.bits ?? 0n
  return {
    shift: of.shift,
    bytes: 2 ** of.shift,
    indexMask: (1 << of.bits) - 1,
    entries: 1 << of.bits,
    tableLo: lowWord(bits),
    tableHi: highWord(bits),
    testedLo: lowWord(tested),
    testedHi: highWord(tested),
    hasTables: of.table !== undefined,
  }
}

function sizeOf(format: PageTableFormat, level: number, shift: number): PageSize {
  const of = format.levels[level] as PageTableLevel
  const repeat = 2 ** (shift - of.shift)
  const granule = (format.levels[0] as PageTableLevel).shift
  let bits = of.leafBits
  if (repeat > 1) {
    if (!format.contiguous) throw new RangeError(`${format.name}: no page of 2^${shift} bytes at level ${level}`)
    bits = format.contiguous.bits | (ones(shift - granule - 1) << BigInt(granule))
  }
  const mask = ones(shift)
  return {
    shift,
    bytes: 2 ** shift,
    maskLo: lowWord(mask),
    maskHi: highWord(mask),
    level,
    repeat,
    lo: lowWord(bits),
    hi: highWord(bits),
  }
}

function sizesOf(format: PageTableFormat, geometry: PageTableGeometry, iovaBits: number): PageSize[] {
  const sizes: PageSize[] = []
  for (let level = geometry.growsTo ?? geometry.topLevel; level >= 0; level--) {
    const here = (format.levels[level] as PageTableLevel).pageSizes & geometry.pageSizes
    for (let shift = iovaBits; shift > 0; shift--)
      if ((here >> BigInt(shift)) & 1n) sizes.push(sizeOf(format, level, shift))
  }
  if (sizes.length === 0) throw new RangeError(`${format.name}: no page size is left`)
  const gap = format.levels.findIndex(
    (_, level) => sizes.some((s) => s.level > level) && !sizes.some((s) => s.level === level),
  )
  if (gap >= 0) throw new RangeError(`${format.name}: level ${gap} lacks pages to split larger ones into`)
  return sizes
}

/**
 * Works out a format's words for one geometry.
 * @throws RangeError when the format cannot have that shape
 */
export function layoutOf(format: PageTableFormat, geometry: PageTableGeometry): Layout {
  const { topLevel, growsTo = topLevel } = geometry
  const top = format.levels[growsTo]
  if (!top || growsTo < topLevel) throw new RangeError(`${format.name}: no level ${growsTo} at or above ${topLevel}`)
  const iovaBits = Math.min(geometry.iovaBits ?? 64, top.shift + top.bits)
  const bottom = format.levels[0] as PageTableLevel
  const sizes = sizesOf(format, geometry, iovaBits)
  const swapped = format.endianness === 'big'
  const contiguous = format.contiguous ?? { bits: 0n, tested: 0n }
  const mark = format.levels.reduce(
    (all, level) => all | level.leafBits | (level.table?.tested ?? 0n),
    contiguous.tested,
  )
  return {
    name: format.name,
    topLevel,
    growsTo,
    iovaBits,
    levels: format.levels.slice(0, growsTo + 1).map((level) => levelOf(format, level)),
    sizes,
    granule: (sizes.at(-1) as PageSize).bytes,
    tableBytes: 2 ** format.tableShift,
    bottomShift: Math.min(31, bottom.shift + bottom.bits),
    swapped,
    addressLo: lowWord(format.address),
    addressHi: highWord(format.address),
    hpaEnd: 2 ** format.address.toString(2).length,
    presentLo: lowWord(format.present),
    presentHi: highWord(format.present),
    presentFirst: swapped ? swap32(highWord(format.present)) : lowWord(format.present),
    presentSecond: swapped ? swap32(lowWord(format.present)) : highWord(format.present),
    writableLo: lowWord(format.permissions.writable),
    writableHi: highWord(format.permissions.writable),
    dirtyLo: lowWord(format.dirty ?? 0n),
    dirtyHi: highWord(format.dirty ?? 0n),
    dirtyFirst: swapped ? swap32(highWord(format.dirty ?? 0n)) : lowWord(format.dirty ?? 0n),
    dirtySecond: swapped ? swap32(lowWord(format.dirty ?? 0n)) : highWord(format.dirty ?? 0n),
    markLo: lowWord(mark),
    markHi: highWord(mark),
    flushedLo: lowWord(format.flushedTable ?? 0n),
    flushedHi: highWord(format.flushedTable ?? 0n),
    hasContiguous: contiguous.tested !== 0n,
    contiguousLo: lowWord(contiguous.bits & contiguous.tested),
    contiguousHi: highWord(contiguous.bits & contiguous.tested),
    contiguousTestedLo: lowWord(contiguous.tested),
    contiguousTestedHi: highWord(contiguous.tested),
  }
}
