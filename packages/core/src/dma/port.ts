/** A function's way onto the bus: request, unit, memory, split at translation boundaries. */
import { type Bdf, hiWord, type Iova, loWord, split } from '../address.ts'
import type { HostMemory } from '../memory/host-memory.ts'
import type { Trace } from '../trace.ts'
import { ACCESS, type Access, DMA, DmaRequest, type Status } from './request.ts'

/** What a port needs of a unit. */
export type Translator = { translate(request: DmaRequest): Status }

/** What a port needs of the fabric that made it. */
export interface PortBus {
  /** As `DmaFabric.message`. */
  message(port: DmaPort, access: Access, hi: number, lo: number, bytes: Uint8Array, start: number, n: number): number
  /** As `DmaFabric.slowCopy`. */
  slowCopy(
    access: Access,
    hi: number,
    lo: number,
    snooped: boolean,
    bytes: Uint8Array,
    start: number,
    n: number,
  ): number
}

/** Up to this many bytes a byte loop beats `TypedArray.set`. */
const SHORT = 16

/**
 * One DMA master. Not re-entrant: a device that answers a peer's access with DMA of its own uses its own port.
 * `write` and `read` take an iova as one value; `writeAt` and `readAt` take it as two words, for device models that already
 * hold it so. All return a `Status`; after one that is not `DMA.OK`, `transferred` tells how many bytes went before.
 */
export class DmaPort {
  /** The port's own request: set `pasid`, `noSnoop`, `exec`, `priv`, `translated` on it; they hold until changed. */
  readonly request: DmaRequest
  /** Bytes moved by the last transfer. */
  transferred = 0
  /** Words of the last `load64`. */
  lo = 0
  hi = 0
  readonly segment: number
  readonly #fabric: PortBus
  readonly #memory: HostMemory
  readonly #words: HostMemory['words']
  readonly #trace: Trace
  #translator: Translator
  #enabled = true
  #traced = false
  /** Disabled or traced: `store64` goes the long way. One field that is mostly false, which V8 tests fastest. */
  #held = false

  /** Made by `DmaFabric.port`. */
  constructor(
    fabric: PortBus,
    memory: HostMemory,
    trace: Trace,
    segment: number,
    requester: Bdf,
    translator: Translator,
  ) {
    this.#fabric = fabric
    this.#memory = memory
    this.#words = memory.words
    this.#trace = trace
    this.segment = segment
    this.request = new DmaRequest(requester)
    this.#translator = translator
  }

  /** May the function master the bus? Follows COMMAND.BusMaster. */
  get enabled(): boolean {
    return this.#enabled
  }
  set enabled(enabled: boolean) {
    this.#enabled = enabled
    this.#held = !enabled || this.#traced
  }
  /** Does anybody listen to what the port moves? Set by the fabric. */
  get traced(): boolean {
    return this.#traced
  }
  set traced(traced: boolean) {
    this.#traced = traced
    this.#held = !this.#enabled || traced
  }

  /** Writes `from` to [iova, iova + length). @param iova u64 */
  write(iova: Iova, from: Uint8Array): Status {
    split(iova)
    return this.writeAt(hiWord(), loWord(), from, 0, from.length)
  }
  /** Reads [iova, iova + length) into `into`. @param iova u64 */
  read(iova: Iova, into: Uint8Array): Status {
    split(iova)
    return this.readAt(hiWord(), loWord(), into, 0, into.length)
  }
  /** Writes `length` bytes of `from`, from index `start` on. */
  writeAt(hi: number, lo: number, from: Uint8Array, start: number, length: number): Status {
    return this.#transfer(ACCESS.WRITE, hi, lo, from, start, length)
  }
  /** Reads `length` bytes into `into`, from index `start` on. */
  readAt(hi: number, lo: number, into: Uint8Array, start: number, length: number): Status {
    return this.#transfer(ACCESS.READ, hi, lo, into, start, length)
  }

  /**
   * Writes an aligned 8-byte word: a doorbell, a ring entry. Constants are literals in here: V8 loads and checks an imported
   * constant on each use, which shows at this size.
   */
  store64(hi: number, lo: number, dataLo: number, dataHi: number): Status {
    const { request } = this
    if (!this.#held && (lo & 7) === 0) {
      request.access = 2 // ACCESS.WRITE
      request.iovaHi = hi
      request.iovaLo = lo
      request.length = 8
      const status = this.#translator.translate(request)
      if (status !== 0) return this.#ended(status, 0)
      const { out } = request
      const { hpaHi, hpaLo } = out
      if (hpaHi >>> 17 === 0 && out.target === 1 /* TARGET.MEMORY */) {
        const words = this.#words
        const index = (hpaHi << 14) | (hpaLo >>> 18) // chunkIndex
        const chunk = index < words.length ? words[index] : undefined
        if (chunk !== undefined) {
          const at = (hpaLo & 0x3_ffff) >>> 2 // CHUNK_MASK
          chunk[at] = dataLo
          chunk[at + 1] = dataHi
          return 0 // DMA.OK
        }
      }
    }
    word[0] = dataLo
    word[1] = dataHi
    return this.writeAt(hi, lo, wordBytes, 0, 8)
  }
  /** Reads an aligned 8-byte word into `lo` and `hi`. */
  load64(hi: number, lo: number): Status {
    const status = this.readAt(hi, lo, wordBytes, 0, 8)
    this.lo = word[0] as number
    this.hi = word[1] as number
    return status
  }
  /** Adds to an aligned 8-byte word and leaves its old value in `lo` and `hi` (PCIe FetchAdd). */
  fetchAdd64(hi: number, lo: number, add: bigint): Status {
    const read = this.#transfer(ACCESS.ATOMIC, hi, lo, wordBytes, 0, 8)
    if (read !== DMA.OK) return read
    this.lo = word[0] as number
    this.hi = word[1] as number
    wide[0] = (wide[0] as bigint) + add
    return this.#transfer(ACCESS.WRITE, hi, lo, wordBytes, 0, 8)
  }
  /** Sends a message signalled interrupt with this port's requester id. */
  sendMsi(address: bigint, data: number): Status {
    word[0] = data
    split(address)
    return this.writeAt(hiWord(), loWord(), wordBytes, 0, 4)
  }

  /** Binds the unit that translates this port's requests. Called by the fabric when units come and go. */
  bind(translator: Translator): void {
    this.#translator = translator
  }

  #transfer(access: Access, hi: number, lo: number, bytes: Uint8Array, start: number, length: number): Status {
    if (!this.#enabled) return this.#ended(DMA.DISABLED, 0)
    if (length <= 0) return this.#ended(DMA.OK, 0)
    const status = this.#run(access, hi, lo, bytes, start, length)
    if (this.#traced) {
      this.request.iovaHi = hi
      this.request.iovaLo = lo
      this.#trace.emit('dma', {
        requester: this.request.requester,
        write: access === ACCESS.WRITE,
        iova: this.request.iova,
        bytes: this.transferred,
        status,
      })
    }
    return status
  }

  /**
   * The loop. Each round holds one translation, takes in those that follow it contiguously within a chunk, and copies once.
   * A translation that ends a round (refused, elsewhere, or longer than the chunk) is kept for the next one: it is never asked
   * for twice, because the unit has logged it. Literals as in `store64`, here and in `#copy`.
   */
  #run(access: Access, iovaHi: number, iovaLo: number, bytes: Uint8Array, start: number, length: number): Status {
    const { out } = this.request
    let hi = iovaHi
    let lo = iovaLo
    let done = 0
    let status = this.#translate(access, hi, lo, length)
    while (done < length) {
      if (status !== 0) return this.#ended(status, done)
      const { target, hpaHi, hpaLo, snooped } = out
      const room = Math.min(length - done, 0x4_0000 - (hpaLo & 0x3_ffff)) // CHUNK_BYTES, CHUNK_MASK
      let n = 0
      for (;;) {
        const step = Math.min(out.bytes, room - n)
        n += step
        const next = (lo + step) | 0
        if (next >>> 0 < lo >>> 0) hi = (hi + 1) | 0
        lo = next
        if (done + n >= length) break
        if (step < out.bytes) {
          out.bytes -= step
          out.hpaLo = (out.hpaLo + step) | 0
          if (out.hpaLo === 0) out.hpaHi++
          break
        }
        status = this.#translate(access, hi, lo, length - done - n)
        if (n >= room || status !== 0) break
        if (out.hpaLo !== ((hpaLo + n) | 0) || out.hpaHi !== hpaHi || out.target !== target || out.snooped !== snooped)
          break
      }
      const moved =
        target === 1 // TARGET.MEMORY
          ? this.#copy(access, hpaHi, hpaLo, snooped, bytes, start + done, n)
          : this.#fabric.message(this, access, hpaHi, hpaLo, bytes, start + done, n)
      if (moved < n) return this.#ended(moved < 0 ? moved : DMA.NO_TARGET, done + Math.max(moved, 0))
      done += n
    }
    this.transferred = done
    return 0 // DMA.OK
  }

  #translate(access: Access, hi: number, lo: number, length: number): Status {
    const { request } = this
    request.access = access
    request.iovaHi = hi
    request.iovaLo = lo
    request.length = length
    return this.#translator.translate(request)
  }

  #ended(status: Status, transferred: number): Status {
    this.transferred = transferred
    return status
  }

  /** Copies within one chunk. @returns bytes moved, or a negative `DMA` status */
  #copy(access: Access, hi: number, lo: number, snooped: boolean, bytes: Uint8Array, start: number, n: number): number {
    const memory = this.#memory
    const index = hi >>> 17 === 0 ? (hi << 14) | (lo >>> 18) : 0x7fff_ffff // chunkIndex
    let chunk = index < memory.bytes.length ? memory.bytes[index] : undefined
    if (chunk === undefined) {
      if (access !== 2 /* ACCESS.WRITE */ || !memory.chunkForWriting(index))
        return this.#fabric.slowCopy(access, hi, lo, snooped, bytes, start, n)
      chunk = memory.bytes[index] as Uint8Array
    }
    const at = lo & 0x3_ffff
    if (access !== 2) bytes.set(chunk.subarray(at, at + n), start)
    else if (n <= SHORT) for (let i = 0; i < n; i++) chunk[at + i] = bytes[start + i] as number
    else chunk.set(start === 0 && n === bytes.length ? bytes : bytes.subarray(start, start + n), at)
    return n
  }
}

const wordBytes = new Uint8Array(8)
const word = new Int32Array(wordBytes.buffer)
const wide = new BigUint64Array(wordBytes.buffer)
