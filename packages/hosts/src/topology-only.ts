/**
 * An IOMMU driver without an IOMMU behind it: it gives functions a place in groups, with the type and the reserved regions a
 * running kernel showed, and translates nothing. For machines whose silicon is not modelled: their topology can be looked at,
 * their DMA goes untranslated.
 */
import {
  type AttachResult,
  type Domain,
  type IommuCaps,
  type IommuDevice,
  IommuDriver,
  type PciFunction,
  type Plugin,
  type ReservedRegion,
} from '@ioasis/core'

/** What the driver says about functions. */
export interface TopologyOnlyOptions {
  /** Name of the driver, e.g. `amd-vi (topology only)`. */
  readonly name: string
  /** Which functions an IOMMU covers; default: all. */
  readonly covers?: (fn: PciFunction) => boolean
  /** Default domain: `DMA`, `DMA-FQ` or `identity`; default `DMA-FQ`. */
  readonly defaultType?: 'DMA' | 'DMA-FQ' | 'identity'
  readonly reserved?: readonly ReservedRegion[]
  readonly caps?: Partial<IommuCaps>
}

const CAPS: IommuCaps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: true, pasidBits: 0 }

class TopologyOnlyDevice implements IommuDevice {
  readonly fn: PciFunction
  readonly driver: IommuDriver
  readonly caps: IommuCaps
  readonly requesterIds: readonly number[]
  readonly reserved: readonly ReservedRegion[]
  readonly defaultDomain: Domain
  readonly blocked: Domain = { type: 'blocked' }

  constructor(fn: PciFunction, driver: IommuDriver, options: TopologyOnlyOptions, defaultDomain: Domain) {
    this.fn = fn
    this.driver = driver
    this.caps = { ...CAPS, ...options.caps }
    this.requesterIds = [...new Set([fn.bdf, fn.requester])]
    this.reserved = options.reserved ?? []
    this.defaultDomain = defaultDomain
  }
  /** There are no tables: its own two domains fit, no other does. */
  attach(domain: Domain): AttachResult {
    return domain.type === 'blocked' || domain === this.defaultDomain ? 'ok' : 'incompatible'
  }
  release(): void {
    // nothing was set up
  }
}

/** A plug-in with such a driver. */
export const topologyOnlyIommu = (options: TopologyOnlyOptions): Plugin => ({
  name: options.name,
  contract: 1,
  provides: [IommuDriver],
  setup: (host) => {
    const { defaultType = 'DMA-FQ', covers = () => true } = options
    const domain: Domain =
      defaultType === 'identity' ? { type: 'identity' } : { type: 'platform', strict: defaultType === 'DMA' }
    const driver: IommuDriver = {
      name: options.name,
      probe: (fn) => (covers(fn) ? new TopologyOnlyDevice(fn, driver, options, domain) : undefined),
    }
    host.provide(IommuDriver, driver)
  },
})
