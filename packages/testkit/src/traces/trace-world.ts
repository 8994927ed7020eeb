/** The host that scenarios of one machine run on, and how it is put back in order between them. */
import {
  type AddressSpace,
  type AnyIoctlCall,
  Clock,
  Drivers,
  type DriverCore,
  type Host,
  IoctlTable,
  type PageObject,
  parseBdf,
  Pci,
  type PciFunction,
  type Process,
  Processes,
  Sysfs,
  SystemCalls,
  UapiError,
} from '@ioasis/core'
import type { LastingSetting } from './lasting-settings.ts'
import { TracePaths } from './paths.ts'
import { Probes } from './probes.ts'
import { TraceError } from './trace-file.ts'

/** A host with what the player must know of it. */
export interface TraceMachine {
  readonly host: Host
  /** By alias: the function's name (`0000:01:00.0`), and the driver that it has before each scenario; `none`: no driver. */
  readonly devices: Readonly<Record<string, { readonly bdf: string; readonly driver: string }>>
  /** Calls that the tables of this host do not have, because its kernel does not answer them. */
  readonly calls?: readonly AnyIoctlCall[]
  /**
   * Makes the memory of processes, buffers and structs alike, in place of ordinary memory: that of a process that lives
   * elsewhere. The object has one holder. Undefined: ordinary memory.
   */
  readonly memory?: (wanted: BufferWanted) => PageObject | undefined
  /** Modules of the kernel by path, and what happens when one is loaded. */
  readonly modules?: ReadonlyMap<string, () => void>
  /** Huge pages that a process may map; absent: the kernel has none. */
  readonly hugePages?: HugePagePool
  /** Files under /proc that scripts write, and what a text does. */
  readonly settable?: ReadonlyMap<string, (text: string) => void>
}
/** The pool of huge pages of a host. */
export interface HugePagePool {
  /** Bytes of one. */
  readonly bytes: number
  /** How many were set aside. */
  readonly total: number
  /** How they are used, as one process sees it. */
  use(space: AddressSpace): { readonly free: number; readonly reserved: number }
}
/** Memory that a process wants to map. */
export interface BufferWanted {
  readonly process: Process
  readonly bytes: number
  /** Of huge pages. */
  readonly huge: boolean
}

/** One host in the hands of the player. */
export class TraceWorld {
  readonly host: Host
  readonly calls: ReadonlyMap<string, AnyIoctlCall>
  readonly probes: Probes
  /** Made before the next scenario. */
  settings: readonly LastingSetting[] = []
  readonly #machine: TraceMachine
  readonly #drivers: DriverCore
  #paths: TracePaths

  constructor(machine: TraceMachine) {
    this.host = machine.host
    this.#machine = machine
    this.#drivers = machine.host.get(Drivers)
    this.#paths = this.#freshPaths()
    this.probes = new Probes(machine.host)
    const rows = machine.host.all(IoctlTable).flatMap((table) => table.rows.map((row) => row.call))
    this.calls = new Map([...(machine.calls ?? []), ...rows].map((call) => [call.name, call]))
  }
  get memory(): TraceMachine['memory'] {
    return this.#machine.memory
  }
  get modules(): TraceMachine['modules'] {
    return this.#machine.modules
  }
  get hugePages(): TraceMachine['hugePages'] {
    return this.#machine.hugePages
  }
  get settable(): TraceMachine['settable'] {
    return this.#machine.settable
  }
  /** Names of this scenario. */
  get paths(): TracePaths {
    return this.#paths
  }
  /** Drivers as before each scenario. @returns the calls of a fresh process */
  begin(): SystemCalls {
    this.#paths = this.#freshPaths()
    this.probes.reset()
    for (const [alias, { driver }] of Object.entries(this.#machine.devices)) this.restoreDriver(alias, driver)
    for (const { path, text } of this.settings) this.#set(path, text)
    const process = this.host.get(Processes).spawn({ name: 'trace' })
    const calls = new SystemCalls(this.host, process)
    // Standard input, output and error.
    for (let fd = 0; fd < 3; fd++) calls.adopt({ release: () => undefined })
    return calls
  }
  /** The process ends: everything it had is closed. */
  end(calls: SystemCalls): void {
    if (calls.process.alive) calls.exit()
    this.probes.reset()
  }
  pass(ms: number): void {
    this.host.get(Clock).advance(ms)
  }

  /** @throws TraceError when nothing stands there */
  functionOf(alias: string): PciFunction {
    const fn = this.#functionAt(alias)
    if (!fn) throw new TraceError(`no function stands at ${this.#paths.bdf(alias)}`)
    return fn
  }
  /**
   * `none` or a driver's name.
   * @param absent the answer when nothing stands there; undefined: an error
   */
  driverOf(alias: string, absent?: string): string {
    if (absent !== undefined && !this.#functionAt(alias)) return absent
    return this.#drivers.driverOf(this.functionOf(alias))?.name ?? 'none'
  }
  /**
   * driver_override, unbind, drivers_probe; the override stays.
   * @returns whether the driver is bound now
   */
  setDriver(alias: string, driver: string): boolean {
    const fn = this.functionOf(alias)
    this.#drivers.setOverride(fn, driver === 'none' ? undefined : driver)
    const bound = this.#drivers.driverOf(fn)
    if (bound) this.#drivers.unbind(bound.name, fn)
    if (driver === 'none') return this.driverOf(alias) === 'none'
    try {
      this.#drivers.bind(driver, fn)
    } catch (error) {
      if (!(error instanceof UapiError)) throw error
    }
    return this.driverOf(alias) === driver
  }
  /** A driver that does not take its function any more leaves it without one: the steps will tell. */
  restoreDriver(alias: string, driver: string): void {
    if (this.driverOf(alias) !== driver) this.setDriver(alias, driver)
  }

  #functionAt(alias: string): PciFunction | undefined {
    const where = parseBdf(this.#paths.bdf(alias))
    return where && this.host.get(Pci).at(where.segment, where.bdf)
  }
  #set(path: string, text: string): void {
    const found = this.#paths.resolve(path)
    const sysfs = this.host.get(Sysfs)
    if (found !== undefined && sysfs.exists(found)) sysfs.write(found, text)
  }
  #freshPaths(): TracePaths {
    const aliases = Object.entries(this.#machine.devices).map(([alias, { bdf }]) => [alias, bdf] as const)
    return new TracePaths(this.host, new Map(aliases))
  }
}
