/**
 * The powernv driver: functions into endpoints, endpoints into groups. One endpoint for each bus, as pnv_pci_configure_bus makes
 * them; a virtual function has one of its own. arch/powerpc/platforms/powernv/pci-ioda.c.
 */
import {
  type AuditSource,
  type Bdf,
  busOf,
  type Claim,
  type Domain,
  type IommuDevice,
  type IovaRange,
  type PciFunction,
  type PciTopology,
  SRIOV,
  type VirtualPlace,
} from '@ioasis/core'
import { PowerDevice, type PowerDriver } from '../device.ts'
import { PnvEndpoint, type PnvParts, type RequesterRange } from './endpoint.ts'

/** A bridge as the device tree tells of it. */
export interface PnvBridge {
  readonly name: string
  /** PCI domain, and its number for firmware. */
  readonly segment: number
  /** `ibm,opal-num-pes`: the last one is reserved, the one before is the root bus's. */
  readonly endpoints: number
}

/** Serves all bridges of a host. */
export class PowernvDriver implements PowerDriver, AuditSource {
  readonly name = 'powernv-iommu'
  readonly platform: Domain = Object.freeze({ type: 'platform', strict: true })
  readonly blocked: Domain = Object.freeze({ type: 'blocked' })
  readonly #parts: PnvParts
  readonly #pci: Pick<PciTopology, 'functions'>
  readonly #bridges: readonly PnvBridge[]
  /** By bridge and number. */
  readonly #endpoints = new Map<number, PnvEndpoint>()
  /** Of physical functions: the number of their first virtual one. */
  readonly #virtual = new WeakMap<PciFunction, number>()
  readonly #devices = new Set<PowerDevice>()
  readonly #without = new Map<PciFunction, PnvEndpoint>()

  constructor(parts: PnvParts, pci: Pick<PciTopology, 'functions'>, bridges: readonly PnvBridge[]) {
    this.#parts = parts
    this.#pci = pci
    this.#bridges = bridges
  }

  /** pnv_pci_ioda_dma_dev_setup(). A bridge alone in its endpoint has no windows and no group. @throws UapiError ENOMEM */
  probe(fn: PciFunction): IommuDevice | undefined {
    const bridge = this.#bridges.find((b) => b.segment === fn.segment)
    if (!bridge) return undefined
    // The bus's endpoint has all its ids: a virtual function takes its own out.
    const shared = fn.virtfn ? undefined : this.#endpointOf(bridge, fn.bdf)
    const endpoint = shared ?? this.#configure(fn, bridge)
    if (!fn.bridge) endpoint.setUp()
    endpoint.joined(fn)
    if (!endpoint.hasDma) {
      this.#without.set(fn, endpoint)
      return undefined
    }
    const device = new PowerDevice(fn, this, endpoint)
    this.#devices.add(device)
    return device
  }
  forget(device: PowerDevice): void {
    if (!this.#devices.delete(device)) return
    this.#left(device.fn, device.windows as PnvEndpoint)
  }
  /** A function without a group is gone. */
  removed(fn: PciFunction): void {
    const endpoint = this.#without.get(fn)
    if (!endpoint) return
    this.#without.delete(fn)
    this.#left(fn, endpoint)
  }

  /** Takes everything down: all tables are given back. */
  close(): void {
    for (const device of [...this.#devices].toReversed()) this.forget(device)
    for (const fn of this.#without.keys()) this.removed(fn)
  }

  claims(near?: IovaRange): readonly Claim[] {
    const { windows } = this.#parts
    const programmed = [...windows].filter((window) => window.links.length > 0)
    return [
      ...[...this.#devices].flatMap((device) => device.claims()),
      ...programmed.flatMap((window) => window.claims(near)),
    ]
  }

  #endpointOf({ name }: PnvBridge, id: Bdf): PnvEndpoint | undefined {
    for (const endpoint of this.#endpoints.values()) {
      const { first, last } = endpoint.requesters
      if (endpoint.unit === name && first <= id && id <= last) return endpoint
    }
    return undefined
  }
  /** pnv_pci_configure_bus(), pnv_ioda_setup_bus_PE(). */
  #configure(fn: PciFunction, bridge: PnvBridge): PnvEndpoint {
    const number = this.#number(fn, bridge)
    const phb = this.#bridges.indexOf(bridge)
    const requesters = requestersWith(fn)
    const endpoint = new PnvEndpoint(this.#parts, { phb, unit: bridge.name, number, requesters })
    this.#endpoints.set(key(bridge.segment, number), endpoint)
    endpoint.own(true)
    return endpoint
  }

  /**
   * The root bus has a number of its own; a bus with 64-bit memory has that of its first segment; others the highest free;
   * virtual functions of one physical function stand side by side.
   */
  #number(fn: PciFunction, bridge: PnvBridge): number {
    const { endpoints, segment } = bridge
    if (fn.virtfn) return this.#numberOfVirtual(fn.virtfn, bridge)
    if (!fn.parent) return endpoints - 2
    if (this.#has64Bit(segment, busOf(fn.bdf))) {
      for (let number = 0; number < endpoints - 2; number++)
        if (!this.#endpoints.has(key(segment, number))) return number
    }
    return this.#free(bridge, 1)
  }
  /** All of them are reserved with the first one: pnv_pci_sriov_enable(). */
  #numberOfVirtual({ physfn, index }: VirtualPlace, bridge: PnvBridge): number {
    let first = this.#virtual.get(physfn)
    if (first === undefined || index === 0) {
      const count = physfn.sriov ? physfn.readConfig(physfn.sriov.at + SRIOV.NUM_VFS, 2) : 1
      this.#virtual.set(physfn, (first = this.#free(bridge, count)))
    }
    return first + index
  }
  /** The lowest number of the highest run of free ones: pnv_ioda_alloc_pe(). */
  #free({ name, segment, endpoints }: PnvBridge, count: number): number {
    let run = 0
    for (let number = endpoints - 3; number >= 0; number--) {
      run = this.#endpoints.has(key(segment, number)) ? 0 : run + 1
      if (run === count) return number
    }
    throw new Error(`${name}: ${count} more endpoints are not free`)
  }
  #has64Bit(segment: number, bus: number): boolean {
    const there = this.#pci.functions.filter((fn) => fn.segment === segment && busOf(fn.bdf) === bus)
    return there.some((fn) => fn.bars.some((bar) => bar.wide && bar.prefetchable))
  }
  #left(fn: PciFunction, endpoint: PnvEndpoint): void {
    if (!endpoint.left(fn)) return
    this.#endpoints.delete(key(fn.segment, endpoint.number))
    endpoint.own(false)
  }
}

/** Segment and number of an endpoint, in one number. */
const key = (segment: number, number: number): number => segment * 0x1_0000 + number

/** A virtual function's own id, or its bus; a bridge to conventional PCI may put any of its buses into a request. */
function requestersWith({ bdf, parent, virtfn }: PciFunction): RequesterRange {
  if (virtfn) return { first: bdf, last: bdf }
  const bus = busOf(bdf)
  const { secondary, subordinate } =
    parent?.bridge?.kind === 'pcieToPci' ? parent.bridge : { secondary: bus, subordinate: bus }
  return { first: secondary << 8, last: (subordinate << 8) | 0xff }
}
