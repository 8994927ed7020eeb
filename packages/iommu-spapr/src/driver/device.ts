/**
 * One function as the platform's IOMMU driver sees it: there are no paging domains; being attached to the platform's domain
 * or to the blocked one is who owns the endpoint. arch/powerpc/kernel/iommu.c spapr_tce_iommu_ops.
 */
import {
  type AttachHow,
  type AttachResult,
  type Bdf,
  type Claim,
  type Domain,
  type DmaWindows,
  type ErrorRecovery,
  type IommuCaps,
  type IommuDevice,
  type IommuDriver,
  type PciFunction,
  type ReservedRegion,
  UapiError,
} from '@ioasis/core'
import type { Endpoint } from './endpoint.ts'

/** What a device needs of its driver. */
export interface PowerDriver extends IommuDriver {
  /** The kernel's own use of the windows. */
  readonly platform: Domain
  readonly blocked: Domain
  /** The device is released. */
  forget(device: PowerDevice): void
}

/** IOMMU_CAP_CACHE_COHERENCY is all the driver affirms: bridges snoop, and no TCE could change that. */
const CAPS: IommuCaps = Object.freeze({
  cacheCoherent: true,
  enforcesCoherency: false,
  isolatedMsi: false,
  pasidBits: 0,
})

/** A function in an endpoint. */
export class PowerDevice implements IommuDevice {
  readonly fn: PciFunction
  readonly driver: PowerDriver
  readonly caps: IommuCaps = CAPS
  readonly requesterIds: readonly Bdf[]
  readonly reserved: readonly ReservedRegion[] = []
  readonly defaultDomain: Domain
  readonly blocked: Domain
  readonly windows: DmaWindows
  readonly recovery?: ErrorRecovery
  readonly endpoint: { readonly key: object; readonly name: string }
  readonly #of: Endpoint

  constructor(fn: PciFunction, driver: PowerDriver, of: Endpoint) {
    this.fn = fn
    this.driver = driver
    this.requesterIds = [...new Set([fn.bdf, fn.requester])]
    this.defaultDomain = driver.platform
    this.blocked = driver.blocked
    this.windows = of
    if (of.recovery) this.recovery = of.recovery
    this.endpoint = { key: of, name: of.name }
    this.#of = of
  }

  /** @throws UapiError EPERM when ownership cannot be taken */
  attach(domain: Domain, how: AttachHow): AttachResult {
    if (how.pasid !== undefined) throw new UapiError('EOPNOTSUPP', 'set_dev_pasid', { pasid: how.pasid })
    if (domain !== this.defaultDomain && domain !== this.blocked) return 'incompatible'
    // At the first attach the platform owns the windows already.
    if (domain === this.blocked) this.#of.take(this.fn)
    else if (how.replacing) this.#of.giveBack(this.fn)
    return 'ok'
  }
  setDmaMask(bits: number): void {
    this.#of.setDmaMask(this.fn, bits)
  }
  release(): void {
    this.driver.forget(this)
  }

  /** Whose windows its requests see. */
  claims(): readonly Claim[] {
    const { unit, tag } = this.#of
    const type = this.#of.present.some(Boolean) ? 'paging' : 'blocked'
    return this.requesterIds.map((requester) => ({
      kind: 'attached',
      unit,
      segment: this.fn.segment,
      requester,
      domain: type === 'blocked' ? this.blocked : this.#of,
      type,
      tag: type === 'blocked' ? -1 : tag,
    }))
  }
}
