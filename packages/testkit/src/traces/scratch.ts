/** Where a program of a trace keeps the structs and payloads of its calls: places that are never adjacent to anything. */
import type { AddressSpace, Uva } from '@ioasis/core'
import { TraceError } from './trace-file.ts'

const STRUCT: Uva = 0x1000_0000_0000n
const PAYLOAD: Uva = 0x1100_0000_0000n
const READ_ONLY: Uva = 0x1200_0000_0000n
const EDGE: Uva = 0x1300_0000_0000n
/** Room for a struct with the longest zero tail that is passed. */
const ROOM = 0x1_0000
/** Never mapped. */
const UNMAPPED: Uva = 0x7f00_0000_1000n
const KERNEL: Uva = 0xffff_8880_0000_0000n

/** Where the struct of one call lies. */
export interface PlacedStruct {
  readonly arg: Uva
  /** What lies there after the call; undefined: nothing can. */
  read(): Uint8Array | undefined
}

/** Memory of one process. */
export class Scratch {
  readonly #space: AddressSpace
  readonly #mapMemory: (uva: Uva, bytes: number) => void
  /** Bytes in use of each place. */
  readonly #mapped = new Map<Uva, number>()

  /** @param mapMemory maps memory that can be read and written */
  constructor(space: AddressSpace, mapMemory: (uva: Uva, bytes: number) => void) {
    this.#space = space
    this.#mapMemory = mapMemory
  }

  /**
   * Puts a struct where `_arg` says.
   * @param how undefined: readable and writable, zeros behind it; `null bad kernel ro edge` as in the trace format
   * @param length bytes before the unmapped page of `edge`
   */
  place(bytes: Uint8Array, how: string | undefined, length: number): PlacedStruct {
    switch (how) {
      case undefined:
        return this.#placedAt(STRUCT, bytes)
      case 'null':
        return { arg: 0n, read: () => undefined }
      case 'bad':
        return { arg: UNMAPPED, read: () => undefined }
      case 'kernel':
        return { arg: KERNEL, read: () => undefined }
      case 'ro':
        return this.#readOnly(bytes)
      case 'edge':
        return this.#edge(bytes, length)
      default:
        throw new TraceError(`_arg=${how} is none of null, bad, kernel, ro, edge`)
    }
  }
  /** Puts a payload where a member points. */
  payload(bytes: Uint8Array): Uva {
    this.#write(PAYLOAD, bytes)
    return PAYLOAD
  }
  /** What lies in the payload after the call. */
  readPayload(bytes: number): Uint8Array {
    return this.#read(PAYLOAD, bytes)
  }

  #placedAt(uva: Uva, bytes: Uint8Array): PlacedStruct {
    this.#write(uva, bytes)
    return { arg: uva, read: () => this.#read(uva, bytes.length) }
  }
  #readOnly(bytes: Uint8Array): PlacedStruct {
    this.#map(READ_ONLY, ROOM)
    this.#space.protect(READ_ONLY, ROOM, { read: true, write: true })
    const placed = this.#placedAt(READ_ONLY, bytes)
    this.#space.protect(READ_ONLY, ROOM, { read: true, write: false })
    return placed
  }
  #edge(bytes: Uint8Array, length: number): PlacedStruct {
    const page = this.#space.pageBytes
    this.#map(EDGE, page)
    const uva = EDGE + BigInt(page - length)
    const inside = bytes.subarray(0, length)
    this.#space.copyOut(uva, inside)
    return { arg: uva, read: () => withTail(this.#read(uva, inside.length), bytes) }
  }
  /** What was written before is zero again, so that only what a call is given lies behind its struct. */
  #write(uva: Uva, bytes: Uint8Array): void {
    if (bytes.length > ROOM) throw new TraceError(`a struct or payload of ${bytes.length} bytes`)
    this.#map(uva, ROOM)
    const used = this.#mapped.get(uva) ?? 0
    const whole = new Uint8Array(Math.max(used, bytes.length))
    whole.set(bytes)
    this.#space.copyOut(uva, whole)
    this.#mapped.set(uva, bytes.length)
  }
  #map(uva: Uva, bytes: number): void {
    if (this.#mapped.has(uva)) return
    this.#mapMemory(uva, bytes)
    this.#mapped.set(uva, 0)
  }
  #read(uva: Uva, bytes: number): Uint8Array {
    const into = new Uint8Array(bytes)
    this.#space.copyIn(uva, into)
    return into
  }
}

/** A struct that was cut: the part beyond its end as it was given. */
function withTail(read: Uint8Array, given: Uint8Array): Uint8Array {
  const whole = given.slice()
  whole.set(read)
  return whole
}
