/** The pseries driver: one endpoint, and so one group, for each host bridge that the device tree gives a window. */
import type { AuditSource, Claim, Domain, IommuDevice, IovaRange, PciFunction } from '@ioasis/core'
import type { DeviceNode } from '../../spec/device-tree.ts'
import { PowerDevice, type PowerDriver } from '../device.ts'
import { LparEndpoint, type LparParts } from './endpoint.ts'

/** A bridge as the device tree tells of it. */
export interface LparBridge {
  readonly name: string
  readonly segment: number
  /** Unit id of the bus, for RTAS. */
  readonly buid: bigint
  readonly node: DeviceNode
}

/** Serves all bridges of a partition. */
export class PseriesDriver implements PowerDriver, AuditSource {
  readonly name = 'pseries-iommu'
  readonly platform: Domain = Object.freeze({ type: 'platform', strict: true })
  readonly blocked: Domain = Object.freeze({ type: 'blocked' })
  readonly #endpoints = new Map<number, LparEndpoint>()
  readonly #devices = new Set<PowerDevice>()

  constructor(parts: LparParts, bridges: readonly LparBridge[]) {
    for (const { segment, name, buid, node } of bridges) {
      this.#endpoints.set(segment, new LparEndpoint(parts, node, { segment, unit: name, buid }))
    }
  }

  probe(fn: PciFunction): IommuDevice | undefined {
    const endpoint = this.#endpoints.get(fn.segment)
    if (!endpoint) return undefined
    endpoint.joined(fn)
    const device = new PowerDevice(fn, this, endpoint)
    this.#devices.add(device)
    return device
  }
  forget(device: PowerDevice): void {
    if (this.#devices.delete(device)) (device.windows as LparEndpoint).left(device.fn)
  }

  claims(near?: IovaRange): readonly Claim[] {
    return [
      ...[...this.#devices].flatMap((device) => device.claims()),
      ...[...this.#endpoints.values()].flatMap((endpoint) => endpoint.claims(near)),
    ]
  }
}
