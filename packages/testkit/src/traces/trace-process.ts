/** The process that runs a scenario: its system calls, names and buffers. */
import type { AnyIoctlCall, Process, SystemCalls, Uva } from '@ioasis/core'
import { Names } from './names.ts'
import { Scratch } from './scratch.ts'
import { TraceError } from './trace-file.ts'
import type { TraceWorld } from './trace-world.ts'

const BUFFERS: Uva = 0x2000_0000_0000n
const BUFFER_STRIDE = 0x4000_0000n

const HUGE_PAGE = 0x20_0000

/** Memory to be mapped. */
interface MemoryWanted {
  readonly uva: Uva
  readonly bytes: number
  readonly read: boolean
  readonly write: boolean
  readonly huge: boolean
}

/** One scenario's process. */
export class TraceProcess {
  readonly world: TraceWorld
  readonly calls: SystemCalls
  readonly names: Names = new Names()
  readonly scratch: Scratch
  #buffers = 0

  constructor(world: TraceWorld, calls: SystemCalls) {
    this.world = world
    this.calls = calls
    this.scratch = new Scratch(calls.process.addressSpace, (uva, bytes) => {
      this.mapMemory({ uva, bytes, read: true, write: true, huge: false })
    })
  }
  get process(): Process {
    return this.calls.process
  }
  /** The place of the next buffer or region mapping: never beside another one. */
  nextBuffer(): Uva {
    return BUFFERS + BUFFER_STRIDE * BigInt(this.#buffers++)
  }
  /** Maps memory of the process: ordinary memory, or what the machine gives in its place. */
  mapMemory({ uva, bytes, read, write, huge }: MemoryWanted): void {
    const object = this.world.memory?.({ process: this.process, bytes, huge })
    if (!object) {
      this.calls.mmap({ uva, bytes, read, write, ...(huge ? { huge: HUGE_PAGE } : {}) })
      return
    }
    this.process.addressSpace.mmap({ uva, bytes, read, write, object, shared: true })
    // The mapping holds it now.
    object.release()
  }
  /** @throws TraceError when no table of the host has the call */
  callNamed(name: string): AnyIoctlCall {
    const found = this.world.calls.get(name)
    if (!found) throw new TraceError(`no table of this host has ${name}`)
    return found
  }
  /** A text of a script: `bdf:A%opt` is the name of a function with what follows, `%` stands for a blank. */
  text(text: string): string {
    const found = /^bdf:([^%]*)(.*)$/s.exec(text)
    const plain = found ? this.world.paths.bdf(found[1] as string) + (found[2] as string) : text
    return plain.replaceAll('%', ' ')
  }
}
