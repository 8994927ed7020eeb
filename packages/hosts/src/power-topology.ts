/** The functions of the recorded POWER machines: where they stand, and models of those that no dump exists of. */
import { bdf, type Bdf, Clock, type FunctionModel, Pci, type PciDriver, type Plugin } from '@ioasis/core'
import {
  Bridge,
  buildConfig,
  Edu,
  express,
  msi,
  msix,
  pciToPciBridgeModel,
  pcieToPciBridgeModel,
  RecordedFunction,
} from '@ioasis/devices'
import { recordedMachine } from './lab.ts'
import type { DescribedFunction } from './machine-description.ts'
import { recordedModel } from './recorded-machine.ts'

/** A function: its PCI domain, its place, what it is. */
export interface PowerFunction {
  readonly segment: number
  readonly bdf: Bdf
  readonly what: 'rootPort' | 'pcieToPci' | 'pciToPci' | 'edu' | 'e1000e' | 'virtioNet'
  /** Of a bridge: the bus behind it, and the last one. */
  readonly buses?: readonly [number, number]
}

const fn = (segment: number, bus: number, device: number, what: PowerFunction['what']): PowerFunction => ({
  segment,
  bdf: bdf(bus, device, 0),
  what,
})
const bridge = (
  segment: number,
  bus: number,
  device: number,
  what: PowerFunction['what'],
  ...buses: readonly [number, number]
): PowerFunction => ({ ...fn(segment, bus, device, what), buses })

/** Six bridges, a root port on each; the functions stand behind those of the first three. */
export const POWERNV_FUNCTIONS: readonly PowerFunction[] = [
  bridge(0, 0, 0, 'rootPort', 1, 1),
  fn(0, 1, 0, 'e1000e'),
  bridge(1, 0, 0, 'rootPort', 1, 1),
  fn(1, 1, 0, 'edu'),
  bridge(2, 0, 0, 'rootPort', 1, 2),
  bridge(2, 1, 0, 'pcieToPci', 2, 2),
  fn(2, 2, 1, 'edu'),
  fn(2, 2, 2, 'virtioNet'),
  bridge(3, 0, 0, 'rootPort', 1, 1),
  bridge(4, 0, 0, 'rootPort', 1, 1),
  bridge(5, 0, 0, 'rootPort', 1, 1),
]
/** Three bridges, their functions on the root bus but two behind a conventional bridge. */
export const PSERIES_FUNCTIONS: readonly PowerFunction[] = [
  fn(0, 0, 1, 'edu'),
  fn(1, 0, 1, 'e1000e'),
  bridge(2, 0, 1, 'pciToPci', 1, 1),
  fn(2, 1, 1, 'edu'),
  fn(2, 1, 2, 'virtioNet'),
]

/** A plug-in that places functions; firmware gives them their addresses. */
export const powerFunctions = (functions: readonly PowerFunction[]): Plugin => ({
  name: 'power functions',
  contract: 1,
  needs: [Pci, Clock],
  setup: (host) => {
    const clock = host.get(Clock)
    for (const one of functions) host.get(Pci).place(modelOf(one, clock), one)
  },
})

function modelOf({ what, buses = [0, 0], bdf: at }: PowerFunction, clock: Clock): FunctionModel {
  const [secondary, subordinate] = buses
  const place = { primary: at >>> 8, secondary, subordinate }
  if (what === 'rootPort') return rootPort(place)
  if (what === 'pcieToPci') return pcieToPciBridgeModel(place)
  if (what === 'pciToPci') return pciToPciBridgeModel(place)
  if (what === 'virtioNet') return virtioNet()
  const recorded = withoutAddresses(what === 'edu' ? '0000:00:01.0' : '0000:01:00.0')
  // The machines gave the device a mask of 64 bits.
  if (what === 'edu') return new Edu(clock, { config: recorded.config, dmaMask: 0xffff_ffff_ffff_ffffn })
  return recordedModel(recorded, clock, 'qemu')
}

/** A function of the recorded q35 machine with BARs that have no address, and nothing enabled. */
function withoutAddresses(name: string): DescribedFunction {
  const [segment, place] = [0, name === '0000:00:01.0' ? bdf(0, 1, 0) : bdf(1, 0, 0)]
  const found = recordedMachine('q35-intel').functions.find((f) => f.segment === segment && f.bdf === place)
  if (!found) throw new Error(`q35-intel has no function ${name}`)
  const config = Uint8Array.from(found.config)
  const view = new DataView(config.buffer)
  for (let at = 0x10; at < 0x28; at += 4)
    view.setUint32(at, view.getUint32(at, true) & ((config[at] as number) & 1 ? 3 : 15), true)
  view.setUint32(0x30, 0, true)
  view.setUint16(0x04, 0, true)
  return { ...found, config }
}

/** The root port of a POWER10 bridge (1014:0652). */
const rootPort = (place: { primary: number; secondary: number; subordinate: number }): Bridge =>
  new Bridge(
    'root-port 1014:0652',
    buildConfig({
      vendor: 0x1014,
      device: 0x0652,
      classCode: 0x060400,
      bridge: place,
      capabilities: [msi(), express({ type: 'rootPort', slot: true })],
    }),
  )

/** A modern virtio network card (1af4:1041) as far as assignment sees it: its registers keep what is written. */
function virtioNet(): RecordedFunction {
  const bars = [
    { index: 1, size: 4096, space: 'memory', wide: false, prefetchable: false },
    { index: 4, size: 16384, space: 'memory', wide: true, prefetchable: true },
  ] as const
  const config = buildConfig({
    vendor: 0x1af4,
    device: 0x1041,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    revision: 1,
    classCode: 0x02_0000,
    interruptPin: 1,
    bars,
    capabilities: [msix({ vectors: 4, table: { bar: 1, offset: 0 }, pending: { bar: 1, offset: 0x800 } })],
  })
  return new RecordedFunction({ name: '1af4:1041', config, bars })
}

const NO_REMOVAL = { done: true, onDone: (action: () => void): void => action() } as const
const holding = (driver: Pick<PciDriver, 'name' | 'ids' | 'dmaBits'>): PciDriver => ({
  ...driver,
  probe: () => undefined,
  remove: () => NO_REMOVAL,
})
/** drivers/net/ethernet/intel/e1000e, drivers/virtio: host drivers that use all 64 address bits. */
export const E1000E: PciDriver = holding({ name: 'e1000e', ids: [{ vendor: 0x8086, device: 0x10d3 }], dmaBits: 64 })
export const VIRTIO_PCI: PciDriver = holding({
  name: 'virtio-pci',
  ids: [{ vendor: 0x1af4, device: 0x1041 }],
  dmaBits: 64,
})
