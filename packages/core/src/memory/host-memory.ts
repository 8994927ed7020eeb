/**
 * The host's physical address space, as the bus sees it.
 *
 * RAM is sparse, in chunks of 256 KiB. Hot loops (translation, table walks, DMA, table writes) index `words` and `bytes`
 * directly with `chunkIndex`; where they find `undefined` they take a method of this class, which knows the rest: RAM not
 * touched yet, a chunk that is only partly RAM, registers, RAM behind a backing, nothing at all. A host with a CPU cache
 * gives out no views, so that everything passes through the slow path and no raw view hides a stale line.
 */
import { hex, type Hpa, hpaOf } from '../address.ts'
import { type Token, token } from '../plugin/token.ts'
import type { AccessSize, MemoryBacking, MmioWindow, Snoop } from './backing.ts'

/** Address bits inside a chunk. */
export const CHUNK_SHIFT = 18
/** Bytes in a chunk. */
export const CHUNK_BYTES: number = 1 << CHUNK_SHIFT
/** Mask of the address bits inside a chunk. */
export const CHUNK_MASK: number = CHUNK_BYTES - 1
/** Host-physical addresses end here: chunk numbers stay below 2^31. */
export const HPA_BITS = 49
/** Chunks with raw views lie below this number (256 GiB): the lists of views have no holes, so they must stay short. */
const VIEW_CHUNKS = 1 << 20

/**
 * Number of the chunk that holds an hpa; an address beyond `HPA_BITS` gives one that no host has.
 * Compare it with the array's length before indexing: a read outside an array is slow for ever after.
 */
export const chunkIndex = (hi: number, lo: number): number =>
  hi >>> 17 === 0 ? (hi << 14) | (lo >>> CHUNK_SHIFT) : 0x7fff_ffff

interface Region {
  readonly first: Hpa
  readonly last: Hpa
  readonly what: string
  readonly window?: MmioWindow
  readonly backing?: MemoryBacking
}

/** Physical memory of one host. */
export class HostMemory {
  /** Little-endian 32-bit view of each chunk that is RAM, was touched and may be seen raw. */
  readonly words: (Int32Array | undefined)[] = []
  /** The same chunks as bytes. */
  readonly bytes: (Uint8Array | undefined)[] = []
  /** The caches in front of memory; set while composing, never later. */
  snoop: Snoop | undefined
  /** Low and high word that the last successful `loadEntry` read, as int32. */
  entryLo = 0
  entryHi = 0
  readonly #regions: Region[] = []
  readonly #chunks = new Map<number, Uint8Array>()
  readonly #views: boolean

  /** @param options `views: false` withholds raw views: every access takes the slow path */
  constructor(options: { readonly views?: boolean } = {}) {
    this.#views = options.views ?? true
  }

  /** Adds RAM at [first, first + size). @throws RangeError when it overlaps or is not whole pages of 4 KiB */
  addRam(first: Hpa, size: number): void {
    this.#add({ first, last: first + size - 1, what: 'ram' })
  }
  /** Adds RAM that is reached by copying. */
  addBacking(first: Hpa, size: number, backing: MemoryBacking): void {
    this.#add({ first, last: first + size - 1, what: 'backing', backing })
  }
  /**
   * Adds registers. Registers may lie over RAM or other registers; the newest answers, as a BAR decodes before memory.
   * @returns removes the window
   */
  addMmio(first: Hpa, size: number, window: MmioWindow, what = 'mmio'): () => void {
    const region = { first, last: first + size - 1, what, window }
    this.#checkRange(region, 1)
    this.#regions.unshift(region)
    this.#hideViews(region)
    return () => {
      const i = this.#regions.indexOf(region)
      if (i >= 0) this.#regions.splice(i, 1)
    }
  }
  /** Ranges of RAM (with or without a backing), in address order. */
  get ram(): readonly { readonly first: Hpa; readonly last: Hpa }[] {
    return this.#regions
      .filter((r) => !r.window)
      .map(({ first, last }) => ({ first, last }))
      .toSorted((a, b) => a.first - b.first)
  }
  /** What answers at an address: `ram`, `backing`, the name of a window, or undefined for nothing. */
  whatIs(hpa: Hpa): string | undefined {
    return this.#at(hpa)?.what
  }
  /** Whether all of [hpa, hpa + bytes) is RAM of one region (with a backing or without) and no registers lie over it. */
  isMemory(hpa: Hpa, bytes: number): boolean {
    const region = this.#holder(hpa, bytes)
    return region !== undefined && !region.window
  }
  /** Whether anything was ever written to the RAM of a chunk; else it reads as zeros. */
  isTouched(index: number): boolean {
    return this.#chunks.has(index)
  }
  /** Chunks of RAM that hold data: an audit counter. */
  get touchedChunks(): number {
    return this.#chunks.size
  }

  /**
   * A raw view of a chunk for a writer that fills it, made if need be.
   * @returns undefined when the chunk is not wholly RAM or views are withheld: use `write`
   */
  chunkForWriting(index: number): Int32Array | undefined {
    const present = index < this.words.length ? this.words[index] : undefined
    if (present || !this.#views || index >= VIEW_CHUNKS) return present
    const first = index * CHUNK_BYTES
    const region = this.#at(first)
    if (!region || region.window || region.backing || region.last < first + CHUNK_MASK) return undefined
    if (this.#regions.some((r) => r.window && r.first <= first + CHUNK_MASK && r.last >= first)) return undefined
    const bytes = this.#chunk(index)
    while (this.words.length <= index) {
      this.words.push(undefined)
      this.bytes.push(undefined)
    }
    this.bytes[index] = bytes
    return (this.words[index] = new Int32Array(bytes.buffer))
  }

  /**
   * Reads bytes as the bus does, caches left aside.
   * @returns bytes read; fewer than asked means that nothing answers at the next one
   */
  read(hpa: Hpa, into: Uint8Array): number {
    return this.#each(hpa, into.length, (region, at, done, n) => {
      if (region.window) return this.#loadBytes(region, at, into, done, n)
      if (region.backing) return region.backing.read(at - region.first, into.subarray(done, done + n))
      const chunk = this.#chunks.get(Math.floor(at / CHUNK_BYTES))
      if (!chunk) into.fill(0, done, done + n)
      else into.set(chunk.subarray(at % CHUNK_BYTES, (at % CHUNK_BYTES) + n), done)
      return n
    })
  }

  /** Writes bytes as the bus does, caches left aside. @returns bytes written; fewer than given: nothing answers at the next one */
  write(hpa: Hpa, from: Uint8Array): number {
    return this.#each(hpa, from.length, (region, at, done, n) => {
      if (region.window) return this.#storeBytes(region, at, from, done, n)
      if (region.backing) return region.backing.write(at - region.first, from.subarray(done, done + n))
      const index = Math.floor(at / CHUNK_BYTES)
      if (this.#views) this.chunkForWriting(index)
      this.#chunk(index).set(from.subarray(done, done + n), at % CHUNK_BYTES)
      return n
    })
  }

  /** One aligned load of registers. @returns undefined when no window answers, or none alone: use `read` */
  loadRegister(hpa: Hpa, size: AccessSize): bigint | undefined {
    const region = this.#holder(hpa, size)
    if (!region?.window || (hpa - region.first) % size !== 0) return undefined
    return BigInt.asUintN(size * 8, region.window.load(hpa - region.first, size))
  }
  /** One aligned store to registers. @returns false when no window answers, or none alone: use `write` */
  storeRegister(hpa: Hpa, size: AccessSize, value: bigint): boolean {
    const region = this.#holder(hpa, size)
    if (!region?.window || (hpa - region.first) % size !== 0) return false
    region.window.store(hpa - region.first, size, BigInt.asUintN(size * 8, value))
    return true
  }
  /** The same for 4 bytes as an int32 word. */
  loadRegisterWord(hpa: Hpa): number | undefined {
    const region = this.#holder(hpa, 4)
    if (!region?.window || (hpa - region.first) % 4 !== 0) return undefined
    const { window, first } = region
    return window.loadWord ? window.loadWord(hpa - first) : Number(BigInt.asIntN(32, window.load(hpa - first, 4)))
  }
  storeRegisterWord(hpa: Hpa, value: number): boolean {
    const region = this.#holder(hpa, 4)
    if (!region?.window || (hpa - region.first) % 4 !== 0) return false
    const { window, first } = region
    if (window.storeWord) window.storeWord(hpa - first, value)
    else window.store(hpa - first, 4, BigInt(value >>> 0))
    return true
  }

  /**
   * Reads one aligned 64-bit entry into `entryLo` and `entryHi`: the slow path of every hardware walk.
   * @param snooped whether the reader sees dirty lines of the CPUs (VT-d: ECAP.C)
   * @returns false when no memory answers there; registers do not hold tables
   */
  loadEntry(hi: number, lo: number, snooped: boolean): boolean {
    const hpa = hpaOf(hi, lo)
    const region = this.#at(hpa)
    if (!region || region.window) return false
    const got = snooped && this.snoop ? this.snoop.read(hpa, entryBytes) : this.read(hpa, entryBytes)
    if (got < 8) return false
    this.entryLo = entryWords[0] as number
    this.entryHi = entryWords[1] as number
    return true
  }

  /** Writes one aligned 64-bit entry, as silicon does (status writes, accessed bits). @returns false when no memory answers */
  storeEntry(hi: number, lo: number, dataLo: number, dataHi: number, snooped: boolean): boolean {
    const hpa = hpaOf(hi, lo)
    const region = this.#at(hpa)
    if (!region || region.window) return false
    entryWords[0] = dataLo
    entryWords[1] = dataHi
    return (snooped && this.snoop ? this.snoop.write(hpa, entryBytes) : this.write(hpa, entryBytes)) === 8
  }

  #add(region: Region): void {
    this.#checkRange(region, 4096)
    const other = this.#regions.find((r) => !r.window && r.first <= region.last && r.last >= region.first)
    if (other) {
      throw new RangeError(
        `memory: ${hex(region.first)}-${hex(region.last)} overlaps ${hex(other.first)}-${hex(other.last)}`,
      )
    }
    this.#regions.push(region)
  }
  #checkRange(r: Region, unit: number): void {
    const whole = Number.isInteger(r.first) && r.first >= 0 && r.last >= r.first && r.last < 2 ** HPA_BITS
    if (whole && r.first % unit === 0 && (r.last + 1) % unit === 0) return
    throw new RangeError(
      `memory: ${r.what} at ${r.first}..${r.last} is not a range of whole ${unit}-byte units below 2^${HPA_BITS}`,
    )
  }
  /** Registers laid over RAM must be met in the slow path. */
  #hideViews(r: Region): void {
    const last = Math.min(Math.floor(r.last / CHUNK_BYTES), this.words.length - 1)
    for (let i = Math.floor(r.first / CHUNK_BYTES); i <= last; i++) this.words[i] = this.bytes[i] = undefined
  }
  #chunk(index: number): Uint8Array {
    let chunk = this.#chunks.get(index)
    if (!chunk) this.#chunks.set(index, (chunk = new Uint8Array(CHUNK_BYTES)))
    return chunk
  }
  #at(hpa: Hpa): Region | undefined {
    for (const r of this.#regions) if (hpa >= r.first && hpa <= r.last) return r
    return undefined
  }
  /** What answers at all of [hpa, hpa + bytes), if it is one region. */
  #holder(hpa: Hpa, bytes: number): Region | undefined {
    const last = hpa + bytes - 1
    for (const r of this.#regions) {
      if (last < r.first || hpa > r.last) continue
      return hpa >= r.first && last <= r.last ? r : undefined
    }
    return undefined
  }
  /** Splits [hpa, hpa + length) where the region or the chunk changes; stops at the first piece that is not done whole. */
  #each(hpa: Hpa, length: number, piece: (region: Region, at: Hpa, done: number, n: number) => number): number {
    let done = 0
    while (done < length) {
      const at = hpa + done
      const region = this.#at(at)
      if (!region) break
      let end = Math.min(region.last + 1, (Math.floor(at / CHUNK_BYTES) + 1) * CHUNK_BYTES, hpa + length)
      for (const r of this.#regions) {
        if (r === region) break
        if (r.first > at && r.first < end) end = r.first
      }
      const n = piece(region, at, done, end - at)
      done += n
      if (at + n < end) break
    }
    return done
  }
  #loadBytes(region: Region, at: Hpa, into: Uint8Array, done: number, n: number): number {
    for (let i = 0; i < n;) {
      const size = accessSize(at + i - region.first, n - i)
      let value = (region.window as MmioWindow).load(at + i - region.first, size)
      for (let k = 0; k < size; k++, value >>= 8n) into[done + i + k] = Number(value & 0xffn)
      i += size
    }
    return n
  }
  #storeBytes(region: Region, at: Hpa, from: Uint8Array, done: number, n: number): number {
    for (let i = 0; i < n;) {
      const size = accessSize(at + i - region.first, n - i)
      let value = 0n
      for (let k = size - 1; k >= 0; k--) value = (value << 8n) | BigInt(from[done + i + k] as number)
      ;(region.window as MmioWindow).store(at + i - region.first, size, value)
      i += size
    }
    return n
  }
}

/** The physical memory of this host. */
export const Memory: Token<HostMemory> = token('Memory')

const entryBytes = new Uint8Array(8)
const entryWords = new Int32Array(entryBytes.buffer)

/** The widest naturally aligned access that starts `at` bytes into a window and ends within `n` bytes. */
function accessSize(at: number, n: number): AccessSize {
  if (n >= 8 && at % 8 === 0) return 8
  if (n >= 4 && at % 4 === 0) return 4
  return n >= 2 && at % 2 === 0 ? 2 : 1
}
