/** A small machine with VT-d units and their driver, for the tests that look at both sides at once. */
import {
  type Bdf,
  bdf,
  CpuCaches,
  type Cpu,
  decodeMsi,
  DmaFabric,
  type DmaPort,
  type Hpa,
  HostMemory,
  InterruptController,
  type IommuDevice,
  makeCpus,
  PageAllocator,
  type PageRuns,
  type PciFunction,
  Trace,
} from '@ioasis/core'
import type { VtdDriverOptions } from './driver/vtd-driver.ts'
import { VtdDriver } from './driver/vtd-driver.ts'
import { VtdUnit } from './hw/unit.ts'

export const CAP = 0x80d2_008c_222f_0606n
/** Walks are not snooped, snoop control is there. */
export const ECAP = 0xf0_0fcan
export const ECAP_WITHOUT_SNOOP_CONTROL = 0xf0_0f4an

/** One unit. */
export interface UnitSpec {
  readonly cap?: bigint
  readonly ecap?: bigint
  readonly scope?: 'all' | readonly Bdf[]
}
/** A function and its way onto the bus. */
export interface Placed {
  readonly fn: PciFunction
  readonly device: IommuDevice
  readonly port: DmaPort
}
/** The machine. */
export interface VtdMachine {
  readonly memory: HostMemory
  readonly cpu: Cpu
  readonly pages: PageAllocator
  readonly trace: Trace
  readonly units: readonly VtdUnit[]
  readonly driver: VtdDriver
  /** Adds a function at 00:NN.0 and probes it; `alias`: its requests carry that id. */
  add(device: number, alias?: Bdf): Placed
}

/** @param options of the machine and of the driver in it */
export function vtdMachine(
  options: {
    readonly units?: readonly UnitSpec[]
    readonly lag?: boolean
    readonly cache?: boolean
    readonly driver?: Partial<VtdDriverOptions>
  } = {},
): VtdMachine {
  const memory = new HostMemory({ views: !options.cache })
  memory.addRam(0, 64 << 20)
  const caches = options.cache ? new CpuCaches(memory, 1, { bytes: 32768, ways: 8 }) : undefined
  if (caches) memory.snoop = caches
  const [cpu] = makeCpus(memory, caches, 1)
  const pages = new PageAllocator(memory, cpu)
  const interrupts = new InterruptController()
  const trace = new Trace()
  const bus = new DmaFabric(memory, interrupts, trace)
  const specs = options.units ?? [{}]
  const places = specs.map(({ scope = 'all' }, i) => ({
    name: `dmar${i}`,
    registers: 0xfed9_0000 + i * 0x1000,
    segment: 0,
    scope,
  }))
  const units = specs.map(({ cap = CAP, ecap = ECAP, scope = 'all' }, i) => {
    const covers = (_segment: number, id: Bdf): boolean => scope === 'all' || scope.includes(id)
    const unit = new VtdUnit(
      { name: `dmar${i}`, cap, ecap, haw: 48, covers, lag: options.lag ?? false },
      memory,
      (address, data) => interrupts.deliver(decodeMsi({ address, data })),
      trace,
    )
    memory.addMmio((places[i] as { registers: Hpa }).registers, 4096, unit.mmio)
    bus.addUnit(unit)
    return unit
  })
  const driver = new VtdDriver({ cpu, pages, interrupts, trace }, { units: places, ...options.driver })
  driver.enable()
  return {
    memory,
    cpu,
    pages,
    trace,
    units,
    driver,
    add: (slot, alias) => {
      const id = bdf(0, slot, 0)
      const bridge = alias === undefined ? undefined : bridgeTo(alias)
      const fn = {
        segment: 0,
        bdf: id,
        parent: bridge,
        name: `0000:00:${slot}.0`,
        readConfig: () => 0,
      } as unknown as PciFunction
      return { fn, device: driver.probe(fn) as IommuDevice, port: bus.port(0, alias ?? id) }
    },
  }
}

const bridgeTo = (alias: Bdf): PciFunction =>
  ({
    segment: 0,
    bdf: bdf(0, 0x1e, 0),
    parent: undefined,
    bridge: { secondary: alias >>> 8, subordinate: alias >>> 8, kind: 'pcieToPci' },
  }) as unknown as PciFunction

/** One run of contiguous host memory. */
export const run = (hpa: Hpa, bytes = 4096): PageRuns => ({
  count: 1,
  hpa: Float64Array.of(hpa),
  bytes: Float64Array.of(bytes),
})
