/** A world for the driver kit out of plug-ins: a machine, the back end, and functions that do nothing but DMA. */
import {
  bdf,
  type Bdf,
  BRIDGE,
  CAP,
  type Cpu,
  Cpus,
  createHost,
  type FunctionModel,
  HEADER,
  HEADER_TYPE,
  type Host,
  type HostMemory,
  type Hpa,
  IommuGroups,
  IommuUnit,
  Memory,
  type PageAllocator,
  Pages,
  Pci,
  type PciFunction,
  type Plugin,
  PORT,
  STATUS,
  type Trace,
  Tracer,
} from '@ioasis/core'
import type { DriverVariant, DriverWorld, WorldDevice } from './world.ts'

/** RAM of a world: untouched parts cost nothing. */
const RAM = 256 << 20
/** Requester ids of a world's functions, in the order of `DriverWorld.devices`; the third one is on the second unit. */
export const WORLD_FUNCTIONS: readonly [Bdf, Bdf, Bdf] = [bdf(0, 1, 0), bdf(0, 2, 0), bdf(0, 3, 0)]

/**
 * Memory for a back end whose firmware reserves some (RMRR): 64 KiB that function 00:08.0 keeps using. A world that has it
 * runs the kit's tests of it.
 */
export const WORLD_RESERVED: { readonly first: Hpa; readonly last: Hpa; readonly scope: readonly Bdf[] } = {
  first: 0x300_0000,
  last: 0x300_ffff,
  scope: [bdf(0, 8, 0)],
}
const BRIDGE_AT = bdf(0, 30, 0)
const BEHIND_BRIDGE = [bdf(1, 1, 0), bdf(1, 2, 0)] as const

/** A conventional function without BARs that may master the bus. */
function master(): FunctionModel {
  const config = new Uint8Array(256)
  const view = new DataView(config.buffer)
  view.setUint32(0, 0x0001_1af4, true)
  view.setUint16(4, 0x0004, true)
  view.setUint32(8, 0xff00_0000, true)
  return { name: 'dma master', config, bars: [] }
}
/** A PCIe-to-PCI bridge to bus 1. */
function bridge(): FunctionModel {
  const { config } = master()
  config[HEADER.HEADER_TYPE] = HEADER_TYPE.BRIDGE
  config[BRIDGE.SECONDARY_BUS] = config[BRIDGE.SUBORDINATE_BUS] = 1
  config[HEADER.STATUS] = STATUS.CAP_LIST
  config[HEADER.CAPABILITY_LIST] = 0x40
  config.set([CAP.EXPRESS, 0, (PORT.PCIE_TO_PCI << 4) | 2], 0x40)
  return { name: 'bridge', config, bars: [] }
}

/** What `composeWorld` cannot know of a back end. */
export interface ComposeWorldOptions {
  /** Lets lagging units finish; default: nothing, for units that do not lag on their own. */
  readonly poll?: () => void
}

class ComposedWorld implements DriverWorld {
  readonly variant: DriverVariant
  readonly devices: WorldDevice[] = []
  readonly poll: () => void
  readonly host: Host
  readonly #functions = new Map<WorldDevice, PciFunction>()

  constructor(variant: DriverVariant, plugins: readonly Plugin[], options: ComposeWorldOptions) {
    this.variant = variant
    this.poll = options.poll ?? (() => {})
    const functions: Plugin = {
      name: 'dma masters',
      contract: 1,
      needs: [Pci],
      setup: (host) => WORLD_FUNCTIONS.forEach((id) => host.get(Pci).place(master(), { bdf: id })),
    }
    const { pageSize } = variant
    this.host = createHost({ plugins: [...plugins, functions], machine: { ram: RAM }, kernel: { pageSize } })
    for (const id of WORLD_FUNCTIONS.slice(0, variant.units + 1)) this.#join(id)
  }
  get memory(): HostMemory {
    return this.host.get(Memory)
  }
  get cpus(): readonly [Cpu, ...Cpu[]] {
    return this.host.get(Cpus)
  }
  get pages(): PageAllocator {
    return this.host.get(Pages)
  }
  get trace(): Trace {
    return this.host.get(Tracer)
  }
  get units(): readonly IommuUnit[] {
    return this.host.all(IommuUnit)
  }

  plug(slot: number): WorldDevice {
    const id = bdf(0, slot, 0)
    this.host.get(Pci).place(master(), { bdf: id })
    return this.#join(id)
  }
  plugBridge(): readonly [WorldDevice, WorldDevice, WorldDevice] {
    const pci = this.host.get(Pci)
    pci.place(bridge(), { bdf: BRIDGE_AT })
    for (const id of BEHIND_BRIDGE) pci.place(master(), { bdf: id })
    return [this.#join(BRIDGE_AT), this.#join(BEHIND_BRIDGE[0]), this.#join(BEHIND_BRIDGE[1])]
  }
  unplug(device: WorldDevice): void {
    const fn = this.#functions.get(device)
    if (!fn) throw new Error('the world has no such function')
    this.devices.splice(this.devices.indexOf(device), 1)
    this.#functions.delete(device)
    this.host.get(Pci).remove(fn)
  }
  between(action: () => void, during: () => void): void {
    const cpu = this.cpus[0] as { -readonly [K in 'store' | 'storeWords' | 'write']: Cpu[K] }
    const { store, storeWords, write } = cpu
    cpu.store = (...args) => {
      store.apply(cpu, args)
      action()
    }
    cpu.storeWords = (...args) => {
      storeWords.apply(cpu, args)
      action()
    }
    cpu.write = (...args) => {
      const written = write.apply(cpu, args)
      action()
      return written
    }
    try {
      during()
    } finally {
      Object.assign(cpu, { store, storeWords, write })
    }
  }
  close(): void {
    this.host.close()
  }

  #join(id: Bdf): WorldDevice {
    const fn = this.host.get(Pci).at(0, id)
    const iommu = fn && this.host.get(IommuGroups).deviceOf(fn)
    if (!fn || !iommu) throw new Error(`no IOMMU driver serves function ${id.toString(16)}`)
    const unit = this.units.findIndex((u) => u.covers(0, fn.requester))
    const device: WorldDevice = { iommu, port: fn.dma, requester: fn.requester, unit }
    this.devices.push(device)
    this.#functions.set(device, fn)
    return device
  }
}

/**
 * Makes a world: a machine of 256 MiB, the back end's plug-ins, and functions 00:01.0 to 00:03.0 on bus 0.
 * @param plugins the back end, set up for `variant`
 */
export function composeWorld(
  variant: DriverVariant,
  plugins: readonly Plugin[],
  options: ComposeWorldOptions = {},
): DriverWorld & { readonly host: Host } {
  return new ComposedWorld(variant, plugins, options)
}
