/**
 * A TCE table in memory, one level or several, as the bridge walks it. Only the top level is made with the table; the others
 * come when an entry needs them. arch/powerpc/platforms/powernv/pci-ioda-tce.c pnv_tce, pnv_tce_xchg, pnv_tce_free.
 */
import {
  type Claim,
  type Cpu,
  type DmaWindow,
  type Hpa,
  hpaHi,
  hpaLo,
  hpaOf,
  type Iova,
  type IovaRange,
  type PageAllocator,
  type TceAccess,
  UapiError,
  type WindowShape,
} from '@ioasis/core'
import { swap32, TCE } from '../../spec/tce.ts'
import { TVE_LEVELS_MAX } from '../../spec/tve.ts'
import { HeldWindow } from '../held-window.ts'

/** Largest block the kernel's page allocator has, log2: 16 MiB with pages of 4 and of 64 KiB (MAX_PAGE_ORDER). */
const LARGEST_BLOCK = 24
/** Entries of a block; a window of up to so many blocks remembers which ones were ever used. */
const BLOCK = 512
const MOST_BLOCKS = 2 ** 19
/** Address bits from here up are not translated. */
const TRANSLATED_BITS = 55

/** What tables are made with. */
export interface TableMemory {
  readonly cpu: Cpu
  readonly pages: PageAllocator
  /** Bytes of one CPU page: no level is smaller. */
  readonly pageSize: number
}
/** Who must be told of changed entries: a group the window is programmed in. */
export interface Linked {
  readonly number: number
  readonly unit: string
  killPages(pageBytes: number, hi: number, lo: number, pages: number): void
}

/** One table (`struct iommu_table`). */
export class PnvWindow extends HeldWindow implements DmaWindow {
  readonly first: Iova
  readonly bytes: bigint
  readonly entries: number
  readonly pageShift: number
  readonly levels: number
  readonly tableBytes: bigint
  /** Bytes of one level. */
  readonly levelBytes: number
  /** The top level. */
  readonly root: Hpa
  /** Groups it is programmed in, latest first, with the slot it has there. */
  readonly links: { readonly group: Linked; readonly slot: number }[] = []
  oldHpa: Hpa = 0
  readonly #memory: TableMemory
  /** Entries that one entry of each level spans. */
  readonly #spans: readonly number[]
  readonly #mask: number
  /** Levels below the top. */
  readonly #made: Hpa[] = []
  /** Blocks in which an entry was ever put, so that a search need not look at the others; undefined: too many. */
  readonly #used: Uint8Array | undefined
  readonly #freed: (window: PnvWindow) => void
  readonly #firstHi: number

  /**
   * pnv_pci_ioda2_table_alloc_pages: the caller holds it once.
   * @param charged bytes it was charged for
   * @throws UapiError EINVAL for a shape the bridge has no walk for, ENOMEM
   */
  constructor(
    memory: TableMemory,
    first: Iova,
    shape: WindowShape,
    charged: bigint,
    freed: (window: PnvWindow) => void,
  ) {
    const { pageShift, bytes, levels } = shape
    const refuse = (errno: 'EINVAL' | 'ENOMEM'): UapiError =>
      new UapiError(errno, 'pnv_pci_ioda2_table_alloc_pages', { pageShift, bytes, levels })
    if (!(levels >= 1 && levels <= TVE_LEVELS_MAX) || !isPowerOfTwo(bytes)) throw refuse('EINVAL')
    const { table, level } = levelsOf(shape, memory.pageSize)
    if ((Math.imul(level - 3, levels) + pageShift) >>> 0 >= TRANSLATED_BITS) throw refuse('EINVAL')
    if (level > LARGEST_BLOCK) throw refuse('ENOMEM')
    super('powernv')
    this.#memory = memory
    this.first = first
    this.#firstHi = Number(first >> 32n)
    this.pageShift = pageShift
    this.levels = levels
    this.entries = 2 ** (table - 3)
    this.bytes = BigInt(this.entries) << BigInt(pageShift)
    this.tableBytes = charged
    this.levelBytes = 2 ** level
    this.#spans = Array.from({ length: levels }, (_, n) => 2 ** ((level - 3) * n))
    this.#mask = 2 ** (level - 3) - 1
    this.root = memory.pages.alloc(this.levelBytes, 'pnv_alloc_tce_level')
    this.#used = this.entries / BLOCK <= MOST_BLOCKS ? new Uint8Array(Math.ceil(this.entries / BLOCK)) : undefined
    this.#freed = freed
  }

  exchange(index: number, hpa: Hpa, access: TceAccess): TceAccess {
    const at = this.#entry(index, access !== 0)
    if (at === 0) {
      this.oldHpa = 0
      return 0
    }
    const { cpu } = this.#memory
    if (this.#used && access !== 0) this.#used[Math.floor(index / BLOCK)] = 1
    cpu.loadWords(at)
    const oldHi = swap32(cpu.lo)
    const oldLo = swap32(cpu.hi)
    // The bridge wants reading wherever it may write.
    const bits = access & TCE.WRITE ? TCE.BOTH : access
    cpu.storeWords(at, swap32(hpaHi(hpa)), swap32(hpaLo(hpa) | bits))
    return this.#told(oldHi, oldLo)
  }
  lookup(index: number): TceAccess {
    const at = this.#entry(index, false)
    this.oldHpa = 0
    if (at === 0) return 0
    const { cpu } = this.#memory
    cpu.loadWords(at)
    return this.#told(swap32(cpu.lo), swap32(cpu.hi))
  }
  kill(index: number, count: number): void {
    const offset = index * 2 ** this.pageShift
    const hi = (this.#firstHi + Math.floor(offset / 0x1_0000_0000)) | 0
    for (const { group } of this.links) group.killPages(2 ** this.pageShift, hi, offset | 0, count)
  }
  nextMade(index: number): number {
    if (this.#used) {
      if (index >= this.entries || this.#used[Math.floor(index / BLOCK)] === 1) return Math.min(index, this.entries)
      const next = this.#used.indexOf(1, Math.floor(index / BLOCK) + 1)
      return next < 0 ? this.entries : next * BLOCK
    }
    let at = index
    while (at < this.entries) {
      const missing = this.#missingLevel(at)
      if (missing < 0) return at
      const span = this.#spans[missing] as number
      at = (Math.floor(at / span) + 1) * span
    }
    return this.entries
  }
  protected override released(): void {
    const { pages } = this.#memory
    for (const table of this.#made.splice(0)) pages.free(table, this.levelBytes)
    pages.free(this.root, this.levelBytes)
    this.#freed(this)
  }

  /** What is mapped, for each group it is programmed in. */
  claims(near?: IovaRange): readonly Claim[] {
    const claims: Claim[] = []
    const bytes = 2n ** BigInt(this.pageShift)
    for (let i = this.nextMade(0); i < this.entries; i = this.nextMade(i + 1)) {
      const access = this.lookup(i)
      if (access === 0) continue
      const iova = this.first + BigInt(i) * bytes
      if (near && (iova > near.last || iova + bytes <= near.first)) continue
      for (const { group, slot } of this.links) {
        claims.push({
          kind: 'mapped',
          domain: this,
          unit: group.unit,
          tag: group.number * 2 + slot,
          iova,
          bytes,
          hpa: this.oldHpa,
          write: (access & TCE.WRITE) !== 0,
        })
      }
    }
    return claims
  }

  #told(hi: number, lo: number): TceAccess {
    this.oldHpa = hpaOf(hi & 0xf_ffff, lo & ~0xfff)
    return (lo & TCE.BOTH) as TceAccess
  }
  /** Where an entry stands; 0: its level was not made. @throws UapiError ENOMEM when it should be made and cannot be */
  #entry(index: number, make: boolean): Hpa {
    const { cpu, pages } = this.#memory
    let table = this.root
    for (let level = this.levels - 1; level > 0; level--) {
      const at = table + 8 * this.#index(index, level)
      cpu.loadWords(at)
      const lo = swap32(cpu.hi)
      if (cpu.lo !== 0 || lo !== 0) table = hpaOf(swap32(cpu.lo) & 0xf_ffff, lo & ~TCE.BOTH)
      else if (make) {
        table = pages.alloc(this.levelBytes, 'pnv_alloc_tce_level')
        this.#made.push(table)
        cpu.storeWords(at, swap32(hpaHi(table)), swap32(hpaLo(table) | TCE.BOTH))
      } else return 0
    }
    return table + 8 * this.#index(index, 0)
  }
  /** The level that is missing above an entry; -1: none is. */
  #missingLevel(index: number): number {
    const { cpu } = this.#memory
    let table = this.root
    for (let level = this.levels - 1; level > 0; level--) {
      cpu.loadWords(table + 8 * this.#index(index, level))
      const lo = swap32(cpu.hi)
      if (cpu.lo === 0 && lo === 0) return level
      table = hpaOf(swap32(cpu.lo) & 0xf_ffff, lo & ~TCE.BOTH)
    }
    return -1
  }
  #index(index: number, level: number): number {
    return Math.floor(index / (this.#spans[level] as number)) & this.#mask
  }
}

/** ilog2 of a power of two. */
export const log2 = (bytes: bigint): number => bytes.toString(2).length - 1
/** is_power_of_2(). */
export const isPowerOfTwo = (bytes: bigint): boolean => bytes > 0n && (bytes & (bytes - 1n)) === 0n

/**
 * log2 of the bytes of a table of one level, and of one of several. In the kernel's unsigned arithmetic of 32 bits: a window
 * smaller than its page wraps.
 */
function levelsOf({ pageShift, bytes, levels }: WindowShape, pageSize: number): { table: number; level: number } {
  const least = Math.log2(pageSize)
  const wanted = (log2(bytes) - pageShift) >>> 0
  const each = Math.floor(((wanted + levels - 1) >>> 0) / levels)
  return { table: Math.max((wanted + 3) >>> 0, least), level: Math.max((each + 3) >>> 0, least) }
}

/** 1 << n of 64 bits, as the CPU shifts: by the low seven bits of n. */
const shifted = (n: number): bigint => ((n & 127) < 64 ? 1n << BigInt(n & 127) : 0n)
const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b)

/** pnv_pci_ioda2_get_table_size: bytes a window is charged for, table and user addresses; 0: there is no such window. */
export function tableBytes(shape: WindowShape, pageSize: number): bigint {
  const { pageShift, bytes, levels } = shape
  if (!(levels >= 1 && levels <= TVE_LEVELS_MAX) || !isPowerOfTwo(bytes)) return 0n
  const direct = shifted(levelsOf(shape, pageSize).level)
  if (direct === 0n) return 0n
  let table = larger(0x1000n, shifted(log2(bytes) - pageShift + 3))
  let sum = 0n
  for (let level = 0; level < levels; level++) {
    sum += (table + direct - 1n) & -direct
    table = larger((table / direct) << 3n, direct)
  }
  return sum * 2n
}
