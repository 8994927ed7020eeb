/**
 * Write-back, write-allocate caches of the CPUs, with lines of 64 bytes, set-associative, least recently used goes first.
 *
 * The CPUs agree among themselves: at most one holds a line that was written to, and a CPU that misses takes the line from
 * another one before it asks memory. Devices that snoop see dirty lines and never leave a stale one behind. A device that
 * does not snoop goes to `HostMemory` directly: it misses dirty lines, and its writes leave CPUs reading stale bytes until
 * CLFLUSH or WBINVD. Not modelled: prefetch, write combining, memory types; registers are never cached, RAM always.
 */
import type { Hpa } from '../address.ts'
import type { Snoop } from './backing.ts'
import type { HostMemory } from './host-memory.ts'

/** Bytes of one line. */
export const LINE_BYTES = 64
const LINE_MASK = LINE_BYTES - 1

/** Size of one CPU's cache. */
export interface CacheGeometry {
  /** Bytes in all; bytes / 64 / ways must be a power of two. */
  readonly bytes: number
  /** Lines that share an index. */
  readonly ways: number
}

/** 32 KiB, 8 ways: an ordinary first level. */
export const L1D: CacheGeometry = Object.freeze({ bytes: 32 << 10, ways: 8 })

/** Lines of one CPU. Slot s holds the line at `tags[s]`, -1 for none. */
class Cache {
  readonly tags: Float64Array
  readonly dirty: Uint8Array
  readonly data: Uint8Array
  readonly #used: Float64Array
  readonly #ways: number
  readonly #setMask: number
  #time = 0

  constructor({ bytes, ways }: CacheGeometry) {
    const lines = bytes / LINE_BYTES
    const sets = lines / ways
    if (!Number.isInteger(sets) || sets < 1 || (sets & (sets - 1)) !== 0 || !Number.isInteger(ways)) {
      throw new RangeError(`cpu-cache: ${bytes} bytes in ${ways} ways is not a power of two of sets`)
    }
    this.#ways = ways
    this.#setMask = sets - 1
    this.tags = new Float64Array(lines).fill(-1)
    this.dirty = new Uint8Array(lines)
    this.data = new Uint8Array(bytes)
    this.#used = new Float64Array(lines)
  }

  /** The slot of a line, -1 when it is not held. */
  find(line: Hpa): number {
    const first = this.#first(line)
    for (let s = first; s < first + this.#ways; s++) if (this.tags[s] === line) return s
    return -1
  }
  /** The slot a new line goes to: an empty one, else the least recently used. */
  victim(line: Hpa): number {
    const first = this.#first(line)
    let oldest = first
    for (let s = first; s < first + this.#ways; s++) {
      if (this.tags[s] === -1) return s
      if ((this.#used[s] as number) < (this.#used[oldest] as number)) oldest = s
    }
    return oldest
  }
  touch(slot: number): void {
    this.#used[slot] = ++this.#time
  }
  bytesOf(slot: number): Uint8Array {
    return this.data.subarray(slot * LINE_BYTES, (slot + 1) * LINE_BYTES)
  }
  #first(line: Hpa): number {
    return (((line | 0) >>> 6) & this.#setMask) * this.#ways
  }
}

/** The caches of all CPUs of a host. */
export class CpuCaches implements Snoop {
  readonly #memory: HostMemory
  readonly #caches: readonly Cache[]

  /**
   * @param cpus number of CPUs, each with a cache of its own
   * @throws RangeError when the geometry has no power of two of sets
   */
  constructor(memory: HostMemory, cpus: number, geometry: CacheGeometry = L1D) {
    this.#memory = memory
    this.#caches = Array.from({ length: cpus }, () => new Cache(geometry))
  }

  /** Lines that differ from memory, in all CPUs: an audit counter. */
  get dirtyLines(): number {
    return this.#caches.reduce((sum, cache) => sum + cache.dirty.reduce((n, d) => n + d, 0), 0)
  }
  /** Whether a CPU holds the line that `hpa` lies in, and whether it wrote to it. */
  holds(cpu: number, hpa: Hpa): 'dirty' | 'clean' | undefined {
    const cache = this.#caches[cpu] as Cache
    const slot = cache.find(lineOf(hpa))
    if (slot < 0) return undefined
    return cache.dirty[slot] ? 'dirty' : 'clean'
  }

  /** A device's snooped read: dirty lines are written back first. @returns bytes read, as `HostMemory.read` */
  read(hpa: Hpa, into: Uint8Array): number {
    for (let line = lineOf(hpa); line < hpa + into.length; line += LINE_BYTES) {
      for (const cache of this.#caches) this.#writeBack(cache, cache.find(line))
    }
    return this.#memory.read(hpa, into)
  }
  /** A device's snooped write: lines it touches are written back, dropped, then overwritten in memory. @returns bytes written */
  write(hpa: Hpa, from: Uint8Array): number {
    this.clflush(hpa, from.length)
    return this.#memory.write(hpa, from)
  }

  /** A load by a CPU. @returns bytes read; fewer than asked: nothing answers at the next one */
  cpuRead(cpu: number, hpa: Hpa, into: Uint8Array): number {
    return this.#byLine(hpa, into.length, (line, at, done, n) => {
      const cache = this.#caches[cpu] as Cache
      const slot = this.#load(cache, line)
      if (slot < 0) return this.#memory.read(at, into.subarray(done, done + n))
      const from = slot * LINE_BYTES + (at - line)
      into.set(cache.data.subarray(from, from + n), done)
      return n
    })
  }
  /** A store by a CPU: the line becomes its own and dirty. @returns bytes written */
  cpuWrite(cpu: number, hpa: Hpa, from: Uint8Array): number {
    return this.#byLine(hpa, from.length, (line, at, done, n) => {
      const cache = this.#caches[cpu] as Cache
      const slot = this.#load(cache, line)
      if (slot < 0) return this.#memory.write(at, from.subarray(done, done + n))
      for (const other of this.#caches) if (other !== cache) drop(other, other.find(line))
      cache.data.set(from.subarray(done, done + n), slot * LINE_BYTES + (at - line))
      cache.dirty[slot] = 1
      return n
    })
  }
  /** CLFLUSH: lines in [hpa, hpa + bytes) are written back and dropped, in every CPU. */
  clflush(hpa: Hpa, bytes: number): void {
    for (let line = lineOf(hpa); line < hpa + bytes; line += LINE_BYTES) {
      for (const cache of this.#caches) {
        const slot = cache.find(line)
        this.#writeBack(cache, slot)
        drop(cache, slot)
      }
    }
  }
  /** WBINVD on one CPU: all its lines are written back and dropped. */
  wbinvd(cpu: number): void {
    const cache = this.#caches[cpu] as Cache
    for (let slot = 0; slot < cache.tags.length; slot++) {
      this.#writeBack(cache, slot)
      drop(cache, slot)
    }
  }

  #byLine(hpa: Hpa, length: number, piece: (line: Hpa, at: Hpa, done: number, n: number) => number): number {
    let done = 0
    while (done < length) {
      const at = hpa + done
      const line = lineOf(at)
      const n = Math.min(length - done, line + LINE_BYTES - at)
      const got = piece(line, at, done, n)
      done += got
      if (got < n) break
    }
    return done
  }
  /** Brings a line in. @returns its slot, or -1 when the address is not cached: registers, a backing that fails, nothing at all */
  #load(cache: Cache, line: Hpa): number {
    if (!this.#memory.isMemory(line, LINE_BYTES)) return -1
    const held = cache.find(line)
    if (held >= 0) {
      cache.touch(held)
      return held
    }
    const slot = cache.victim(line)
    this.#writeBack(cache, slot)
    drop(cache, slot)
    if (!this.#copyFromOther(cache, slot, line) && this.#memory.read(line, cache.bytesOf(slot)) < LINE_BYTES) return -1
    cache.tags[slot] = line
    cache.touch(slot)
    return slot
  }
  /** Takes a line, clean or dirty, from another CPU, which keeps it clean. */
  #copyFromOther(cache: Cache, slot: number, line: Hpa): boolean {
    for (const other of this.#caches) {
      const there = other === cache ? -1 : other.find(line)
      if (there < 0) continue
      this.#writeBack(other, there)
      cache.bytesOf(slot).set(other.bytesOf(there))
      return true
    }
    return false
  }
  #writeBack(cache: Cache, slot: number): void {
    if (slot < 0 || !cache.dirty[slot]) return
    const line = cache.tags[slot] as number
    cache.dirty[slot] = 0
    // Registers laid over RAM since must not be written by an eviction.
    if (this.#memory.isMemory(line, LINE_BYTES)) this.#memory.write(line, cache.bytesOf(slot))
  }
}

const lineOf = (hpa: Hpa): Hpa => hpa - ((hpa | 0) & LINE_MASK)

function drop(cache: Cache, slot: number): void {
  if (slot < 0) return
  cache.tags[slot] = -1
  cache.dirty[slot] = 0
}
