/** The two kinds of CPU: one that sees memory as it is, and one behind a cache. */
import { type Hpa, hpaHi, hpaLo } from '../address.ts'
import type { CpuCaches } from './cpu-cache.ts'
import type { Cpu } from './cpu.ts'
import { CHUNK_BYTES, CHUNK_MASK, chunkIndex, type HostMemory } from './host-memory.ts'

type Size = 1 | 2 | 4 | 8

const scratch = new Uint8Array(8)
const scratchWords = new Int32Array(scratch.buffer)
const scratchView = new DataView(scratch.buffer)
/** Views for each access size, made once. */
const parts: Readonly<Record<Size, Uint8Array>> = {
  1: scratch.subarray(0, 1),
  2: scratch.subarray(0, 2),
  4: scratch.subarray(0, 4),
  8: scratch,
}
/** Up to here a loop is quicker than a copy through a view. */
const SMALL = 64
const NO_VIEWS: readonly undefined[] = Object.freeze([])

/** What both kinds do the same way once bytes can be read and written. */
abstract class BaseCpu implements Cpu {
  readonly id: number
  abstract readonly words: readonly (Int32Array | undefined)[]
  lo = 0
  hi = 0

  constructor(id: number) {
    this.id = id
  }
  abstract chunkForWriting(index: number): Int32Array | undefined
  abstract read(hpa: Hpa, into: Uint8Array): number
  abstract write(hpa: Hpa, from: Uint8Array): number
  abstract clflush(hpa: Hpa, bytes: number): void
  abstract wbinvd(): void

  load(hpa: Hpa, size: Size): bigint {
    if (this.read(hpa, parts[size]) < size) return BigInt.asUintN(size * 8, -1n)
    if (size === 8) return scratchView.getBigUint64(0, true)
    const word = scratchView.getUint32(0, true)
    return BigInt(size === 4 ? word : word & (size === 2 ? 0xffff : 0xff))
  }
  store(hpa: Hpa, size: Size, value: bigint): void {
    scratchView.setBigUint64(0, value, true)
    this.write(hpa, parts[size])
  }
  loadWord(hpa: Hpa): number {
    return this.read(hpa, parts[4]) === 4 ? (scratchWords[0] as number) : -1
  }
  storeWord(hpa: Hpa, value: number): void {
    scratchWords[0] = value
    this.write(hpa, parts[4])
  }
  loadWords(hpa: Hpa): void {
    const whole = this.read(hpa, scratch) === 8
    this.lo = whole ? (scratchWords[0] as number) : -1
    this.hi = whole ? (scratchWords[1] as number) : -1
  }
  storeWords(hpa: Hpa, lo: number, hi: number): void {
    scratchWords[0] = lo
    scratchWords[1] = hi
    this.write(hpa, scratch)
  }
}

/** A CPU of a host without a cache model. */
class PlainCpu extends BaseCpu {
  readonly words: readonly (Int32Array | undefined)[]
  readonly #memory: HostMemory
  readonly #bytes: readonly (Uint8Array | undefined)[]

  constructor(id: number, memory: HostMemory) {
    super(id)
    this.words = memory.words
    this.#memory = memory
    this.#bytes = memory.bytes
  }
  chunkForWriting(index: number): Int32Array | undefined {
    return this.#memory.chunkForWriting(index)
  }
  read(hpa: Hpa, into: Uint8Array): number {
    const low = hpaLo(hpa)
    const at = low & CHUNK_MASK
    const bytes = into.length
    const chunk = at + bytes <= CHUNK_BYTES ? this.#view(chunkIndex(hpaHi(hpa), low)) : undefined
    if (!chunk) return this.#memory.read(hpa, into)
    if (bytes > SMALL) into.set(chunk.subarray(at, at + bytes))
    else for (let i = 0; i < bytes; i++) into[i] = chunk[at + i] as number
    return bytes
  }
  write(hpa: Hpa, from: Uint8Array): number {
    const low = hpaLo(hpa)
    const at = low & CHUNK_MASK
    const bytes = from.length
    const chunk = at + bytes <= CHUNK_BYTES ? this.#view(chunkIndex(hpaHi(hpa), low)) : undefined
    if (!chunk) return this.#memory.write(hpa, from)
    if (bytes > SMALL) chunk.set(from, at)
    else for (let i = 0; i < bytes; i++) chunk[at + i] = from[i] as number
    return bytes
  }
  override load(hpa: Hpa, size: Size): bigint {
    const low = hpaLo(hpa)
    const words = this.#words(low, hpaHi(hpa))
    if (!words) return this.#memory.loadRegister(hpa, size) ?? super.load(hpa, size)
    return size === 4 ? BigInt((words[(low & CHUNK_MASK) >>> 2] as number) >>> 0) : super.load(hpa, size)
  }
  override store(hpa: Hpa, size: Size, value: bigint): void {
    const low = hpaLo(hpa)
    const words = this.#words(low, hpaHi(hpa))
    if (words && size === 4) words[(low & CHUNK_MASK) >>> 2] = Number(BigInt.asIntN(32, value))
    else if (words || !this.#memory.storeRegister(hpa, size, value)) super.store(hpa, size, value)
  }
  override loadWord(hpa: Hpa): number {
    const low = hpaLo(hpa)
    const words = this.#words(low, hpaHi(hpa))
    return words
      ? (words[(low & CHUNK_MASK) >>> 2] as number)
      : (this.#memory.loadRegisterWord(hpa) ?? super.loadWord(hpa))
  }
  override storeWord(hpa: Hpa, value: number): void {
    const low = hpaLo(hpa)
    const words = this.#words(low, hpaHi(hpa))
    if (words) words[(low & CHUNK_MASK) >>> 2] = value
    else if (!this.#memory.storeRegisterWord(hpa, value)) super.storeWord(hpa, value)
  }
  override loadWords(hpa: Hpa): void {
    const low = hpaLo(hpa)
    const words = this.#words(low, hpaHi(hpa))
    if (!words) return super.loadWords(hpa)
    const at = (low & CHUNK_MASK) >>> 2
    this.lo = words[at] as number
    this.hi = words[at + 1] as number
  }
  override storeWords(hpa: Hpa, lo: number, hi: number): void {
    const low = hpaLo(hpa)
    const words = this.#words(low, hpaHi(hpa))
    if (!words) return super.storeWords(hpa, lo, hi)
    const at = (low & CHUNK_MASK) >>> 2
    words[at] = lo
    words[at + 1] = hi
  }
  clflush(): void {}
  wbinvd(): void {}
  #words(low: number, high: number): Int32Array | undefined {
    const index = chunkIndex(high, low)
    return index < this.words.length ? this.words[index] : undefined
  }
  #view(index: number): Uint8Array | undefined {
    return index < this.#bytes.length ? this.#bytes[index] : undefined
  }
}

/** A CPU whose every access goes through its cache. */
class CachedCpu extends BaseCpu {
  readonly words: readonly undefined[] = NO_VIEWS
  readonly #caches: CpuCaches

  constructor(id: number, caches: CpuCaches) {
    super(id)
    this.#caches = caches
  }
  chunkForWriting(): undefined {
    return undefined
  }
  read(hpa: Hpa, into: Uint8Array): number {
    return this.#caches.cpuRead(this.id, hpa, into)
  }
  write(hpa: Hpa, from: Uint8Array): number {
    return this.#caches.cpuWrite(this.id, hpa, from)
  }
  clflush(hpa: Hpa, bytes: number): void {
    this.#caches.clflush(hpa, bytes)
  }
  wbinvd(): void {
    this.#caches.wbinvd(this.id)
  }
}

/**
 * Makes the CPUs of a host, numbered from 0.
 * @param memory what they address; made with `views: false` when there are caches
 * @param caches undefined: all CPUs see memory as it is
 * @param count at least 1
 * @throws RangeError for fewer than one CPU
 */
export function makeCpus(memory: HostMemory, caches: CpuCaches | undefined, count: number): readonly [Cpu, ...Cpu[]] {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`makeCpus: ${count} CPUs`)
  const make = (id: number): Cpu => (caches ? new CachedCpu(id, caches) : new PlainCpu(id, memory))
  return [make(0), ...Array.from({ length: count - 1 }, (_, i) => make(i + 1))]
}
