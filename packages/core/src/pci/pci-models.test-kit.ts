/** Small PCI functions and a bus to put them on, for the tests of core. */
import { bdf } from '../address.ts'
import { DmaFabric } from '../dma/fabric.ts'
import { InterruptController } from '../dma/interrupt-controller.ts'
import { HostMemory } from '../memory/host-memory.ts'
import { setDword, setWord } from './capability-chain.ts'
import type { Bar, FunctionModel, PciFunction } from './function.ts'
import { PciTopology } from './topology.ts'
import { Trace } from '../trace.ts'

/** What a test says about a function; the rest is zero. */
export interface ModelOptions extends Partial<Omit<FunctionModel, 'config' | 'bars'>> {
  readonly command?: number
  readonly bars?: readonly (Partial<Bar> & { readonly index: number; readonly size: number; readonly at?: number })[]
  readonly multifunction?: boolean
  readonly bridge?: readonly [secondary: number, subordinate: number]
  /** Device/Port type: makes it PCI Express. */
  readonly port?: number
  readonly deviceCapabilities?: number
  /** [capability, control] bits. */
  readonly acs?: readonly [can: number, on: number]
  readonly pin?: number
  /** Bits of its PMC register, and of PMCSR. */
  readonly pm?: readonly [can: number, control: number]
  /** Message Control. */
  readonly msi?: number
  /** Entries, in BAR 0 at 0 with the pending bits at 0x800. */
  readonly msix?: number
  readonly advancedFeatures?: boolean
}

/** Offsets of the capabilities that `model` writes. */
export const AT = { express: 0x40, pm: 0x80, msi: 0x90, msix: 0xb0, af: 0xc0, acs: 0x100 } as const

/** Makes a model: 4096 bytes with a `port`, else 256. */
export function model(o: ModelOptions = {}): FunctionModel & { readonly config: Uint8Array } {
  const config = new Uint8Array(o.port === undefined ? 256 : 4096)
  setDword(config, 0, 0x11e8_1234)
  setWord(config, 4, o.command ?? 0)
  config[0x0e] = (o.bridge ? 1 : 0) | (o.multifunction ? 0x80 : 0)
  config[0x3d] = o.pin ?? 0
  if (o.bridge) config.set([0, ...o.bridge], 0x18)
  const bars = (o.bars ?? []).map((bar): Bar =>
    Object.assign({ space: 'memory', wide: false, prefetchable: false } as const, bar),
  )
  for (const { index, at = 0 } of o.bars ?? []) {
    const register = index === 6 ? 0x30 : 0x10 + 4 * index
    setDword(config, register, at % 2 ** 32)
    if (at >= 2 ** 32) setDword(config, register + 4, at / 2 ** 32)
  }
  capabilitiesOf(config, o)
  return { name: 'test', ...o, config, bars }
}

function capabilitiesOf(config: Uint8Array, o: ModelOptions): void {
  let link = 0x34
  const add = (at: number, id: number, fill: (at: number) => void): void => {
    setWord(config, 6, 0x10)
    config[link] = at
    config[at] = id
    link = at + 1
    fill(at)
  }
  if (o.port !== undefined) {
    const { port, deviceCapabilities = 0 } = o
    add(AT.express, 0x10, (at) => {
      setWord(config, at + 2, 2 | (port << 4))
      setDword(config, at + 4, deviceCapabilities)
      setWord(config, at + 8, 0x2810)
    })
  }
  const { pm, msi, msix } = o
  if (pm) {
    add(AT.pm, 0x01, (at) => {
      setWord(config, at + 2, pm[0])
      setWord(config, at + 4, pm[1])
    })
  }
  if (msi !== undefined) add(AT.msi, 0x05, (at) => setWord(config, at + 2, msi))
  if (msix !== undefined) {
    add(AT.msix, 0x11, (at) => {
      setWord(config, at + 2, msix - 1)
      setDword(config, at + 8, 0x800)
    })
  }
  if (o.advancedFeatures) add(AT.af, 0x13, (at) => config.set([6, 3], at + 2))
  if (!o.acs) return
  setDword(config, AT.acs, 0x0001_000d)
  setWord(config, AT.acs + 4, o.acs[0])
  setWord(config, AT.acs + 6, o.acs[1])
}

/** An empty bus with 16 MiB of RAM at 0. */
export interface TestBus {
  readonly memory: HostMemory
  readonly interrupts: InterruptController
  readonly trace: Trace
  readonly fabric: DmaFabric
  readonly pci: PciTopology
  /** Places a model at bus:device.function. */
  readonly put: (bus: number, device: number, fn: number, options?: ModelOptions) => PciFunction
}

/** Makes one. */
export function testBus(): TestBus {
  const memory = new HostMemory()
  memory.addRam(0, 16 * 2 ** 20)
  const interrupts = new InterruptController()
  const trace = new Trace()
  const fabric = new DmaFabric(memory, interrupts, trace)
  const pci = new PciTopology(memory, fabric, trace, interrupts)
  const put: TestBus['put'] = (bus, device, fn, options) => pci.place(model(options), { bdf: bdf(bus, device, fn) })
  return { memory, interrupts, trace, fabric, pci, put }
}

/** A 4-byte bus read. */
export function load32(memory: HostMemory, hpa: number): number | undefined {
  const bytes = new Uint8Array(4)
  return memory.read(hpa, bytes) === 4 ? new DataView(bytes.buffer).getUint32(0, true) : undefined
}
/** A 4-byte bus write. */
export function store32(memory: HostMemory, hpa: number, value: number): void {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  memory.write(hpa, bytes)
}
