/** The process that runs a scenario of a POWER machine: its calls, names and buffers, and where its structs lie. */
import type { AnyIoctlCall, SystemCalls } from '@ioasis/core'
import { TraceError } from '../trace-file.ts'
import type { TraceWorld } from '../trace-world.ts'
import { PowerValues } from './power-values.ts'

/** Buffers begin here, each on a multiple of the stride. */
const BUFFERS = 0x100_0000_0000n
const STRIDE = 0x2000_0000n
/** Where structs are put: memory of the process that no script names. */
const STRUCTS = 0x2000_0000_0000n
/** An address that is never mapped. */
const BAD = 0x10n
const ROOM = 0x1_0000

/** A struct in the memory of the process. */
export interface PlacedPowerStruct {
  readonly arg: bigint
  /** Its bytes after the call; undefined where nothing is mapped. */
  read(): DataView | undefined
}

/** What a scenario's process and its children share: names, not memory. */
export class PowerNames {
  readonly values: PowerValues
  /** Where the registers of the device are mapped, once it was opened for accesses; the mapping keeps it open. */
  registers: bigint | undefined
  readonly #loaded = new Set<string>()
  #next = BUFFERS

  /** @param page bytes of one page */
  constructor(page: number) {
    this.values = new PowerValues(page)
  }
  /** The place of the next buffer. @param align its start is a multiple, bytes */
  nextBuffer(bytes: bigint, align: bigint): bigint {
    const unit = align > STRIDE ? align : STRIDE
    const at = ((this.#next + unit - 1n) / unit) * unit
    this.#next = at + ((bytes + STRIDE - 1n) / STRIDE) * STRIDE
    return at
  }
  /** A module of the kernel is loaded. @returns false when it was loaded before */
  load(module: string): boolean {
    if (this.#loaded.has(module)) return false
    this.#loaded.add(module)
    return true
  }
}

/** One scenario's process, or a child of it. */
export class PowerProcess {
  readonly world: TraceWorld
  readonly calls: SystemCalls
  readonly names: PowerNames

  /** @param names of the parent, for a child */
  constructor(world: TraceWorld, calls: SystemCalls, names?: PowerNames) {
    this.world = world
    this.calls = calls
    this.names = names ?? new PowerNames(calls.process.addressSpace.pageBytes)
    if (!names) calls.mmap({ uva: STRUCTS, bytes: ROOM })
  }
  get values(): PowerValues {
    return this.names.values
  }
  /** The same names and descriptors, a memory of its own. */
  fork(): PowerProcess {
    return new PowerProcess(this.world, this.calls.fork(), this.names)
  }
  /** @throws TraceError when no table of the host has the call */
  call(name: string): AnyIoctlCall {
    const found = this.world.calls.get(name)
    if (!found) throw new TraceError(`no table of this host has ${name}`)
    return found
  }
  /** Runs a call. @throws UapiError what refuses it */
  ioctl(fd: number, name: string, arg: bigint): number {
    return this.calls.ioctl(fd, this.call(name).number, arg)
  }
  /** Puts a struct into memory. @param bad at an address where nothing is */
  place(bytes: Uint8Array, bad: boolean): PlacedPowerStruct {
    if (bad) return { arg: BAD, read: () => undefined }
    const { calls } = this
    calls.poke(STRUCTS, bytes)
    return { arg: STRUCTS, read: () => new DataView(calls.peek(STRUCTS, bytes.length).slice().buffer) }
  }
}
