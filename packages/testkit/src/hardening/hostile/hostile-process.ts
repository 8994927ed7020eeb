/** Runs hostile operations on a host: recorded programs with lines altered, left out and doubled, and calls of no program at all. */
import { type SystemCalls, UapiError } from '@ioasis/core'
import { RandomSource } from '../../random-source.ts'
import { playLine } from '../../traces/operations.ts'
import { TraceError, type TraceScenario } from '../../traces/trace-file.ts'
import { TraceProcess } from '../../traces/trace-process.ts'
import type { TraceWorld } from '../../traces/trace-world.ts'
import { callOfLine, type Command, SUB_OFFSET } from './commands.ts'
import { fileCall } from './file-call.ts'
import { mutateLine, type ScriptValues } from './mutate-line.ts'
import { type CommandIndex, isMemory, MAP_FILE_FD, ObservedCalls } from './observed-calls.ts'
import type { Statistics } from './statistics.ts'
import type { ValuePool } from './value-pool.ts'

/** One step. Any part of a list of these is a list that can be run. */
export type HostileOperation =
  /** A new process, which follows a scenario. @param commands that it may make besides */
  | { readonly do: 'begin'; readonly scenario: number; readonly commands: readonly string[] }
  /** A line of the scenario; with a seed: altered. */
  | { readonly do: 'line'; readonly line: number; readonly seed?: number }
  /** A call from nowhere. */
  | { readonly do: 'call'; readonly seed: number }
  /** A call with nothing but zeros, if a file is open that answers it. */
  | { readonly do: 'plain'; readonly command: string; readonly seed: number }
  /** Something with a descriptor or with memory. */
  | { readonly do: 'file'; readonly seed: number }
  /** A child, with the same open files: calls from nowhere may be its own. */
  | { readonly do: 'fork' }
  /** All processes end. @param childrenFirst else the one that follows the scenario does */
  | { readonly do: 'end'; readonly childrenFirst: boolean }

/** What operations are run with. */
export interface HostileParts {
  readonly world: TraceWorld
  readonly scenarios: readonly TraceScenario[]
  readonly values: ScriptValues
  readonly index: CommandIndex
  readonly pool: ValuePool
  readonly statistics: Statistics
}

const STRUCT_PLACES = ['null', 'bad', 'kernel', 'ro'] as const
const MOST_CHILDREN = 2

/** A process and what sees its calls. */
interface Actor {
  readonly process: TraceProcess
  readonly observed: ObservedCalls
}
/** Third argument of an ioctl. */
interface Argument {
  readonly arg: bigint
  readonly text: string
}

/** The processes of one host: one follows a scenario, its children have its files. */
export class HostileProcesses {
  readonly #parts: HostileParts
  #scenario: TraceScenario | undefined
  #commands: readonly Command[] = []
  #main: Actor | undefined
  readonly #children: Actor[] = []

  constructor(parts: HostileParts) {
    this.#parts = parts
  }

  /** @returns what was done, in words @throws Error of any kind: the host broke a promise */
  run(operation: HostileOperation): string {
    switch (operation.do) {
      case 'begin':
        return this.#begin(operation.scenario, operation.commands)
      case 'line':
        return this.#line(operation.line, operation.seed)
      case 'call':
        return this.#refusable(() => this.#call(new RandomSource(operation.seed)))
      case 'plain':
        return this.#refusable(() => this.#plainCall(operation.command, new RandomSource(operation.seed)))
      case 'file':
        return this.#refusable(() => this.#file(new RandomSource(operation.seed)))
      case 'fork':
        return this.#refusable(() => this.#fork())
      case 'end':
        break
    }
    this.end(operation.childrenFirst)
    return 'exit'
  }
  end(childrenFirst = false): void {
    const all = [this.#main, ...this.#children].flatMap((one) => one ?? [])
    for (const { process } of childrenFirst ? all.toReversed() : all) this.#parts.world.end(process.calls)
    this.#main = undefined
    this.#children.length = 0
  }

  #begin(index: number, commands: readonly string[]): string {
    this.end()
    this.#commands = this.#parts.index.all.filter(({ name }) => commands.includes(name))
    const { world, scenarios, pool } = this.#parts
    this.#scenario = scenarios[index]
    this.#main = this.#observe(world.begin())
    pool.begin()
    return `scenario ${this.#scenario?.scenario ?? '?'}`
  }
  #observe(calls: SystemCalls): Actor {
    const process = new TraceProcess(this.#parts.world, calls)
    return { process, observed: new ObservedCalls(calls, process.scratch, this.#parts) }
  }
  #fork(): string {
    if (!this.#main || this.#children.length >= MOST_CHILDREN) return 'nothing'
    this.#told.text = 'fork'
    this.#children.push(this.#observe(this.#main.process.calls.fork()))
    return 'fork'
  }
  /** Who makes a call from nowhere. */
  #someone(random: RandomSource): Actor | undefined {
    return this.#children.length > 0 && random.chance(1, 4) ? random.pick(this.#children) : this.#main
  }
  #line(at: number, seed: number | undefined): string {
    const line = this.#scenario?.lines[at]
    if (!line || !this.#main) return 'nothing'
    const { process, observed } = this.#main
    if (line.kind === 'pause') {
      this.#parts.world.pass(line.ms)
      return `pause ${line.ms}`
    }
    const name = callOfLine(line.src)
    const src =
      seed === undefined || name === undefined
        ? line.src
        : mutateLine(line.src, this.#parts.values, new RandomSource(seed))
    if (name === undefined) this.#parts.statistics.calls++
    observed.expected = name === undefined ? undefined : this.#commandNamed(name)
    try {
      const { ret, errno } = playLine(src, 0, process)
      return `${src} = ${errno ?? ret}`
    } catch (error) {
      // A line that names what was never made: no call took place.
      if (error instanceof TraceError) return `${src}: ${error.message}`
      throw error
    } finally {
      observed.expected = undefined
    }
  }
  #commandNamed(name: string): Command | undefined {
    return this.#parts.index.all.find((command) => command.name === name)
  }
  #refusable(action: () => string): string {
    const told: { text: string } = { text: '' }
    this.#told = told
    try {
      return action()
    } catch (error) {
      if (error instanceof UapiError) return `${told.text} = ${error.errno}`
      throw error
    }
  }
  #told: { text: string } = { text: '' }

  #call(random: RandomSource): string {
    const actor = this.#someone(random)
    if (!actor || this.#commands.length === 0) return 'nothing'
    const { process, observed } = actor
    const command = this.#someCommand(process.calls, random)
    const { name } = command
    const fd = this.#descriptorFor(command, process.calls, random)
    const arg = command.call.struct ? this.#struct(process, command, random) : this.#plain(process, command, random)
    this.#told.text = `${name}(${fd}, ${arg.text})`
    observed.expected = command
    try {
      return `${this.#told.text} = ${process.calls.ioctl(fd, command.call.number, arg.arg)}`
    } finally {
      observed.expected = undefined
    }
  }
  #plainCall(name: string, random: RandomSource): string {
    const command = this.#commandNamed(name)
    const process = this.#main?.process
    if (!command || !process) return 'nothing'
    const fitting = process.calls.fds.all.filter(({ file }) =>
      file.ops.ioctlTables?.some((table) => command.files.has(table)),
    )
    if (fitting.length === 0) return 'nothing'
    const { struct, number } = command.call
    const arg = struct ? process.scratch.place(this.#plainStruct(command, struct.size), undefined, struct.size).arg : 0n
    const { fd } = random.pick(fitting)
    this.#told.text = `${name}(${fd}, zeros)`
    return `${this.#told.text} = ${process.calls.ioctl(fd, number, arg)}`
  }
  /** Mostly one that some open file answers. */
  #someCommand({ fds }: SystemCalls, random: RandomSource): Command {
    const open = new Set(fds.all.flatMap(({ file }) => file.ops.ioctlTables ?? []))
    const fitting = this.#commands.filter(({ files }) => [...files].some((file) => open.has(file)))
    return random.pick(fitting.length > 0 && random.chance(29, 30) ? fitting : this.#commands)
  }
  #descriptorFor({ files }: Command, { fds }: SystemCalls, random: RandomSource): number {
    const open = fds.all.filter(({ fd }) => fd > 2)
    const fitting = open.filter(({ file }) => file.ops.ioctlTables?.some((table) => files.has(table)))
    if (fitting.length > 0 && random.chance(29, 30)) return random.pick(fitting).fd
    return open.length > 0 && random.chance(3, 4) ? random.pick(open).fd : random.pick([-1, 0, 99, 2 ** 31 - 1])
  }
  #struct({ scratch, calls }: TraceProcess, command: Command, random: RandomSource): Argument {
    const { struct } = command.call
    const size = struct?.size ?? 0
    const known = this.#parts.pool.struct(command, random)
    const bytes = known?.bytes ?? this.#plainStruct(command, size)
    scratch.payload(known?.payload ?? new Uint8Array(0))
    const descriptors = calls.fds.all.map(({ fd }) => fd)
    for (let n = random.pick([0, 0, 0, 1, 1, 2, 3]); n > 0; n--) {
      this.#parts.pool.mutate(command, bytes, descriptors, random)
    }
    if (command.sub !== undefined) bytes[SUB_OFFSET] = command.sub
    if (command.name === 'IOMMU_IOAS_MAP_FILE' && !random.chance(1, 40)) this.#noCircle(calls, bytes)
    const how = random.chance(1, 40) ? random.pick(STRUCT_PLACES) : undefined
    const { arg } = scratch.place(bytes, how, bytes.length)
    const hex = Array.from(bytes.subarray(0, size), (b) => b.toString(16).padStart(2, '0')).join('')
    return { arg, text: `${how ?? ''}{${hex}}` }
  }
  /**
   * A file that keeps its own address space through what is mapped is never released, as in Linux (drivers/iommu/iommufd/pages.c
   * iopt_alloc_file_pages takes any file): rounds would have nothing left to do.
   */
  #noCircle({ fds }: SystemCalls, bytes: Uint8Array): void {
    const fd = new DataView(bytes.buffer).getInt32(MAP_FILE_FD, true)
    const open = fds.all.find((entry) => entry.fd === fd)
    if (open && !isMemory(open.file)) new DataView(bytes.buffer).setInt32(MAP_FILE_FD, -1, true)
  }
  #plainStruct({ call }: Command, size: number): Uint8Array {
    const bytes = new Uint8Array(size)
    const first = call.struct?.fields[0]?.name
    if (first === 'size' || first === 'argsz') new DataView(bytes.buffer).setUint32(0, size, true)
    return bytes
  }
  #plain({ calls, scratch }: TraceProcess, command: Command, random: RandomSource): Argument {
    const open = calls.fds.all
    if (random.chance(1, 4) && open.length > 0) {
      const bytes = new Uint8Array(4)
      new DataView(bytes.buffer).setInt32(0, random.pick(open).fd, true)
      return { arg: scratch.place(bytes, undefined, 4).arg, text: `&${bytes[0]}` }
    }
    const arg = this.#parts.pool.plain(command, random)
    return { arg, text: `0x${arg.toString(16)}` }
  }

  #file(random: RandomSource): string {
    const actor = this.#someone(random)
    if (!actor) return 'nothing'
    this.#parts.statistics.calls++
    const call = fileCall(actor.process.calls, random)
    this.#told.text = call.text
    return `${call.text} = ${String(call.run())}`
  }
}
