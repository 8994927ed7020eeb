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
} from '@ioasis/core'
import { BUS_COMPARE } from '../../spec/opal.ts'
import { PowerDevice, type PowerDriver } from '../device.ts'
import { PnvEndpoint, type PnvParts } from './endpoint.ts'

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
  readonly #endpoints = new Map<number, PnvEndpoint>()
  /** Endpoint by requester id, of each bridge. */
  readonly #of = new Map<number, PnvEndpoint>()
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
    const shared = fn.virtfn ? undefined : this.#of.get(key(fn.segment, fn.bdf))
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

  /** pnv_pci_configure_bus(), pnv_ioda_setup_bus_PE(). */
  #configure(fn: PciFunction, bridge: PnvBridge): PnvEndpoint {
    const { segment } = fn
    const virtual = fn.virtfn !== undefined
    const bus = busOf(fn.bdf)
    const number = this.#number(fn, bridge, bus)
    const phb = this.#bridges.indexOf(bridge)
    const endpoint = new PnvEndpoint(this.#parts, phb, bridge.name, number)
    this.#endpoints.set(key(segment, number), endpoint)
    const { opal } = this.#parts
    // A bridge to conventional PCI may put any of its buses into a request.
    const { secondary, subordinate } =
      fn.parent?.bridge?.kind === 'pcieToPci' ? fn.parent.bridge : { secondary: bus, subordinate: bus }
    const ids: Bdf[] = []
    if (virtual) {
      opal.setPe(phb, number, fn.bdf, BUS_COMPARE.ALL, true, true)
      ids.push(fn.bdf)
    } else {
      for (let b = secondary; b <= subordinate; b++) {
        opal.setPe(phb, number, b << 8, BUS_COMPARE.ALL, false, true)
        for (let devfn = 0; devfn < 256; devfn++) ids.push((b << 8) | devfn)
      }
    }
    for (const id of ids) this.#of.set(key(segment, id), endpoint)
    return endpoint
  }

  /** The root bus has a number of its own; a bus with 64-bit memory has that of its first segment; others the highest free. */
  #number(fn: PciFunction, bridge: PnvBridge, bus: number): number {
    const { endpoints, segment } = bridge
    const taken = (number: number): boolean => this.#endpoints.has(key(segment, number))
    if (!fn.parent && !fn.virtfn) return endpoints - 2
    if (!fn.virtfn && this.#has64Bit(segment, bus)) {
      for (let number = 0; number < endpoints - 2; number++) if (!taken(number)) return number
    }
    for (let number = endpoints - 3; number >= 0; number--) if (!taken(number)) return number
    throw new Error(`${bridge.name}: no endpoint is free for ${fn.name}`)
  }
  #has64Bit(segment: number, bus: number): boolean {
    const there = this.#pci.functions.filter((fn) => fn.segment === segment && busOf(fn.bdf) === bus)
    return there.some((fn) => fn.bars.some((bar) => bar.wide && bar.prefetchable))
  }
  #left(fn: PciFunction, endpoint: PnvEndpoint): void {
    if (!endpoint.left(fn)) return
    const { segment } = fn
    this.#endpoints.delete(key(segment, endpoint.number))
    const phb = this.#bridges.findIndex((b) => b.segment === segment)
    for (const [id, of] of this.#of) {
      if (of !== endpoint) continue
      this.#of.delete(id)
      this.#parts.opal.setPe(phb, endpoint.number, id & 0xffff, BUS_COMPARE.ALL, true, false)
    }
  }
}

/** Segment and requester id, or number of an endpoint, in one number. */
const key = (segment: number, id: number): number => segment * 0x1_0000 + id
