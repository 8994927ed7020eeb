/** System calls with typed structs: the program's side of the uAPI tables. */
import type { Uva } from '../address.ts'
import type { CStruct, Decoded } from '../c-struct.ts'
import { type Errno, UapiError } from '../errno.ts'
import type { AnyIoctlCall, IoctlCall } from './ioctl-row.ts'
import type { StructLayout } from '../c-struct.ts'
import { type StructBuffer, structBuffer } from './struct-buffer.ts'
import { SystemCalls } from './system-calls.ts'

/** How a call ended, refused or not. */
export interface Attempt<T> {
  /** What the call returned; -1 when it was refused. */
  readonly ret: number
  readonly errno: Errno | undefined
  /** The struct afterwards, whether or not the call was refused. */
  readonly out: T & Decoded
  /** Its bytes, those after the struct included. */
  readonly bytes: Uint8Array
}

const SCRATCH_BYTES = 65536

/**
 * A program with a buffer for the structs of its calls:
 * `const { out_ioas_id } = vmm.ioctl(iommufd, IOMMU_IOAS_ALLOC, {})`.
 */
export class Client extends SystemCalls {
  #scratch: { readonly uva: Uva; readonly bytes: number } | undefined
  /** One for each size, lent while a struct is written or read. */
  readonly #buffers = new Map<number, StructBuffer>()

  /** As `SystemCalls.ioctl`. */
  override ioctl(fd: number, number: number, arg?: number | bigint): number
  /** A call without a struct. @returns what it returns */
  override ioctl(fd: number, call: IoctlCall<never>, arg?: number | bigint): number
  /**
   * A call with a struct. Members that are not given are 0; a `size` or `argsz` that is not given is the struct's size and
   * that of `tail`.
   * @param tail bytes that follow the struct: a flexible array, or room for one
   * @returns the struct after the call, the tail included
   * @throws UapiError what the call is refused with
   */
  override ioctl<T>(fd: number, call: IoctlCall<T>, values?: Partial<T>, tail?: Uint8Array): T & Decoded
  override ioctl(fd: number, call: number | AnyIoctlCall, given: unknown = 0n, tail?: Uint8Array): never {
    // The overloads say what comes out; here it is one of two things.
    if (typeof call === 'number') return super.ioctl(fd, call, given as bigint) as never
    if (!call.struct) return super.ioctl(fd, call.number, given as bigint) as never
    const buffer = this.#bufferOf(call.struct.size + (tail?.length ?? 0))
    const uva = this.#pass(call.struct, typeof given === 'object' ? (given as object) : {}, tail, buffer)
    super.ioctl(fd, call.number, uva)
    this.peekInto(uva, buffer.bytes, buffer.words)
    return call.struct.decode(buffer.bytes) as never
  }
  /** A call with a struct whose answer is what it returns, e.g. a descriptor. @throws UapiError what it is refused with */
  ioctlRet<T>(fd: number, call: IoctlCall<T>, values: Partial<T> = {}, tail?: Uint8Array): number {
    return super.ioctl(fd, call.number, this.#pass(structOf(call), values, tail))
  }
  /** A call with a struct, refused or not. @returns how it ended, and the struct afterwards */
  attempt<T>(fd: number, call: IoctlCall<T>, values: Partial<T> = {}, tail?: Uint8Array): Attempt<T> {
    const struct = structOf(call)
    const uva = this.#pass(struct, values, tail)
    const done = this.#tried(fd, call.number, uva)
    const bytes = this.peek(uva, struct.size + (tail?.length ?? 0))
    return { ...done, out: struct.decode(bytes), bytes }
  }
  /** Puts bytes where their address can be handed to a call; they stay until the process ends. */
  put(bytes: Uint8Array): Uva {
    const uva = this.mmap({ bytes: Math.max(1, bytes.length) })
    this.poke(uva, bytes)
    return uva
  }
  /** Puts a text and its zero byte. @param text characters below 256 */
  putText(text: string): Uva {
    return this.put(Uint8Array.from(`${text}\0`, (c) => c.charCodeAt(0)))
  }
  override fork(): Client {
    return new Client(this.host, this.process.fork())
  }

  #tried(fd: number, number: number, uva: Uva): { readonly ret: number; readonly errno: Errno | undefined } {
    try {
      return { ret: super.ioctl(fd, number, uva), errno: undefined }
    } catch (error) {
      if (error instanceof UapiError) return { ret: -1, errno: error.errno }
      throw error
    }
  }
  /** Writes the struct into the scratch buffer. @returns where it lies */
  #pass<T>(
    struct: StructLayout<T>,
    values: Partial<T>,
    tail: Uint8Array | undefined,
    { bytes, view, words } = this.#bufferOf(struct.size + (tail?.length ?? 0)),
  ): Uva {
    for (let i = 0; i < words.length; i++) words[i] = 0
    const first = struct.fields[0]?.name
    if (first === 'size' || first === 'argsz') view.setUint32(0, bytes.length, true)
    struct.write(view, 0, values as T)
    if (tail) bytes.set(tail, struct.size)
    const uva = this.#room(bytes.length)
    this.poke(uva, bytes, words)
    return uva
  }
  #bufferOf(size: number): StructBuffer {
    let buffer = this.#buffers.get(size)
    if (!buffer) this.#buffers.set(size, (buffer = structBuffer(size)))
    return buffer
  }
  #room(bytes: number): Uva {
    if (!this.#scratch || this.#scratch.bytes < bytes) {
      const size = Math.max(SCRATCH_BYTES, bytes)
      this.#scratch = { uva: this.mmap({ bytes: size }), bytes: size }
    }
    return this.#scratch.uva
  }
}

function structOf<T>(call: IoctlCall<T>): CStruct<T> {
  if (!call.struct) throw new TypeError(`${call.name} takes no struct`)
  return call.struct
}
