/** Sees each ioctl of one process: counts it, and learns what can be passed again. */
import { type SystemCalls, UapiError } from '@ioasis/core'
import { loadInteger } from '../../traces/payload.ts'
import type { Scratch } from '../../traces/scratch.ts'
import { type Command, SUB_OFFSET } from './commands.ts'
import type { Statistics } from './statistics.ts'
import type { ValuePool } from './value-pool.ts'

const TAIL = 64
const PAYLOAD = 128
/** include/uapi/linux/iommufd.h struct iommu_ioas_map_file. */
export const MAP_FILE_FD = 12

/** The commands of a host, found by file and number. */
export class CommandIndex {
  readonly all: readonly Command[]
  readonly #byNumber = new Map<number, Command[]>()

  constructor(all: readonly Command[]) {
    this.all = all
    for (const command of all) {
      const { number } = command.call
      this.#byNumber.set(number, [...(this.#byNumber.get(number) ?? []), command])
    }
  }
  /** @param files kinds that the descriptor answers as; none: it stands for nothing @param sub second word of the struct */
  find(number: number, files: readonly string[], sub: number | undefined): Command | undefined {
    const same = this.#byNumber.get(number) ?? []
    const fitting = same.filter((command) => files.some((file) => command.files.has(file)))
    const list = fitting.length > 0 ? fitting : same
    return (
      list.find((command) => command.sub !== undefined && command.sub === sub) ?? list.find((c) => c.sub === undefined)
    )
  }
}

/** It holds nothing but pages. */
export const isMemory = (file: { readonly name: string }): boolean => file.name.startsWith('/memfd:')

/** Puts itself around the calls of a process. */
export class ObservedCalls {
  /** The command that is being made, where the caller knows: a descriptor that is closed does not tell. */
  expected: Command | undefined
  readonly #calls: SystemCalls
  readonly #scratch: Scratch
  readonly #index: CommandIndex
  readonly #pool: ValuePool

  constructor(
    calls: SystemCalls,
    scratch: Scratch,
    parts: { readonly index: CommandIndex; readonly pool: ValuePool; readonly statistics: Statistics },
  ) {
    this.#calls = calls
    this.#scratch = scratch
    this.#index = parts.index
    this.#pool = parts.pool
    const { statistics } = parts
    const run = calls.ioctl.bind(calls)
    calls.ioctl = (fd, number, arg) => {
      const wide = BigInt.asUintN(64, BigInt(arg ?? 0n))
      const command = this.#commandOf(fd, number, wide)
      const seen = command && this.#before(command, wide)
      statistics.calls++
      let error: string | undefined = 'crash'
      try {
        const ret = run(fd, number, arg)
        error = undefined
        return ret
      } catch (thrown) {
        if (thrown instanceof UapiError) error = thrown.errno
        throw thrown
      } finally {
        if (command) {
          statistics.count(command.name, error)
          if (command.sub !== undefined) statistics.count('IOMMU_TEST_CMD', error)
          seen?.(error === undefined)
          if (error === undefined && command.name === 'IOMMU_IOAS_MAP_FILE' && this.#isCircle(wide))
            statistics.circles++
        }
      }
    }
  }

  #commandOf(fd: number, number: number, arg: bigint): Command | undefined {
    if (this.expected?.call.number === number >>> 0) return this.expected
    const open = this.#calls.fds.all.find((entry) => entry.fd === fd)
    const sub = this.#read(arg + BigInt(SUB_OFFSET), 4)
    return this.#index.find(number >>> 0, open?.file.ops.ioctlTables ?? [], sub && Number(loadInteger(sub, 0, 4)))
  }
  #before(command: Command, arg: bigint): ((good: boolean) => void) | undefined {
    const { struct } = command.call
    if (!struct) {
      return (good) => {
        if (good) this.#pool.learnPlain(command, arg)
      }
    }
    const bytes = this.#read(arg, struct.size + TAIL)
    if (!bytes) return undefined
    const payload = this.#scratch.readPayload(PAYLOAD)
    return (good) => {
      const passed = { bytes, payload, process: this.#pool.process }
      this.#pool.learn(command, passed, this.#read(arg, struct.size) ?? bytes, good)
    }
  }
  /** Any file but memory counts: it may belong to the address space now or later. */
  #isCircle(arg: bigint): boolean {
    const fd = this.#read(arg + BigInt(MAP_FILE_FD), 4)
    const number = fd ? Number(loadInteger(fd, 0, 4)) : -1
    return this.#calls.fds.all.some((entry) => entry.fd === number && !isMemory(entry.file))
  }
  #read(uva: bigint, bytes: number): Uint8Array | undefined {
    const into = new Uint8Array(bytes)
    return this.#calls.process.addressSpace.copyIn(uva, into) < bytes ? undefined : into
  }
}
