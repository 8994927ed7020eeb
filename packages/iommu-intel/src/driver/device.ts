/** One function as the VT-d driver sees it. drivers/iommu/intel/iommu.c intel_iommu_probe_device, intel_iommu_attach_device. */
import {
  type AttachHow,
  type AttachResult,
  type Bdf,
  type Claim,
  dmaAliases,
  type Domain,
  type HwInfo,
  type IommuCaps,
  type IommuDevice,
  type IommuDriver,
  type PagingDomain,
  type PagingOptions,
  type PciFunction,
  type ReservedRegion,
  UapiError,
} from '@ioasis/core'
import { TT } from '../spec/context-entry.ts'
import { obstacle } from './compatibility.ts'
import { contextEntry } from './context-table.ts'
import type { DmarUnit } from './dmar-unit.ts'
import { SecondStageDomain } from './domain.ts'
import { IDENTITY_ID } from './domain-ids.ts'
import { HW_INFO_VTD, hwInfoBytes } from './hw-info.ts'
import type { RequesterEntries } from './requester-entries.ts'

/** What a device needs of its driver. */
export interface DeviceDriver extends IommuDriver {
  readonly blocked: Domain
  readonly identity: Domain
  allocDomain(unit: DmarUnit): SecondStageDomain
  /** The device is released. */
  forget(device: VtdDevice): void
}

/** What the driver gives each device. */
export interface DeviceParts {
  readonly driver: DeviceDriver
  readonly unit: DmarUnit
  readonly entries: RequesterEntries
  readonly reserved: readonly ReservedRegion[]
  readonly isolatedMsi: boolean
  /** The kernel passes devices through where it can (iommu=pt). */
  readonly identityDefault: boolean
}

/** A function behind one unit. Blocked until something is attached. */
export class VtdDevice implements IommuDevice {
  readonly fn: PciFunction
  readonly driver: DeviceDriver
  readonly unit: DmarUnit
  readonly caps: IommuCaps
  readonly requesterIds: readonly Bdf[]
  readonly reserved: readonly ReservedRegion[]
  readonly blocked: Domain
  readonly identity?: Domain
  readonly paging: { alloc(options: PagingOptions): PagingDomain }
  readonly #parts: DeviceParts
  #attached: Domain
  #default: Domain | undefined

  constructor(fn: PciFunction, parts: DeviceParts) {
    const { driver, unit } = parts
    const { capabilities } = unit
    this.fn = fn
    this.driver = driver
    this.unit = unit
    this.#parts = parts
    this.requesterIds = [...new Set(dmaAliases(fn).map((alias) => alias.bdf))]
    this.reserved = parts.reserved
    this.blocked = driver.blocked
    this.#attached = driver.blocked
    if (capabilities.passThrough) this.identity = driver.identity
    this.caps = {
      // On x86 DMA is coherent unless the device asks otherwise: intel_iommu_capable says yes for every unit.
      cacheCoherent: true,
      enforcesCoherency: capabilities.snoopControl,
      isolatedMsi: parts.isolatedMsi,
      pasidBits: 0,
    }
    this.paging = { alloc: (options) => this.#alloc(options) }
  }

  /** Made when first asked for, and kept until the function goes. @throws UapiError ENOMEM */
  get defaultDomain(): Domain {
    const passes = this.#parts.identityDefault && this.identity
    return (this.#default ??= passes || this.#alloc({}))
  }
  /** What requests of the function see now. */
  get attached(): Domain {
    return this.#attached
  }

  /** intel_iommu_hw_info. */
  hwInfo(type: number): HwInfo {
    if (type !== 0 && type !== HW_INFO_VTD) throw new UapiError('EOPNOTSUPP', 'intel_iommu_hw_info', { type })
    const { cap, ecap } = this.unit.capabilities
    return { type: HW_INFO_VTD, bytes: hwInfoBytes(cap, ecap) }
  }
  attach(domain: Domain, how: AttachHow): AttachResult {
    if (how.pasid !== undefined) throw new UapiError('EOPNOTSUPP', 'intel_iommu_set_dev_pasid', { pasid: how.pasid })
    if (domain === this.#attached) return 'ok'
    if (domain === this.driver.blocked) this.#block()
    else if (domain === this.driver.identity) return this.#passThrough()
    else return this.#translate(domain)
    return 'ok'
  }

  release(): void {
    this.#block()
    if (this.#default instanceof SecondStageDomain) this.#default.retire()
    this.#default = undefined
    this.driver.forget(this)
  }

  /** What is attached for each requester id of which this function is the last user. */
  claims(): readonly Claim[] {
    const domain = this.#attached
    const { unit } = this
    const tag =
      domain instanceof SecondStageDomain ? (domain.units.find((u) => u.unit === unit)?.id ?? -1) : IDENTITY_ID
    const type =
      domain instanceof SecondStageDomain ? 'paging' : domain === this.driver.identity ? 'identity' : 'blocked'
    const users = (id: Bdf): readonly object[] => this.#parts.entries.usersOf(id)
    return this.requesterIds
      .filter((id) => (type === 'blocked' ? users(id).length === 0 : users(id).at(-1) === this))
      .map((requester) => ({
        kind: 'attached',
        unit: unit.name,
        segment: unit.segment,
        requester,
        domain,
        type,
        tag: type === 'blocked' ? -1 : tag,
      }))
  }

  #alloc(options: PagingOptions): SecondStageDomain {
    // Legacy mode has neither nesting nor accessed and dirty bits; a domain for PASIDs is made all the same, as Linux does.
    if (options.nestParent || options.dirtyTracking || options.data) {
      throw new UapiError('EOPNOTSUPP', 'intel_iommu_domain_alloc_paging_flags', { function: this.fn.name })
    }
    return this.driver.allocDomain(this.unit)
  }

  #block(): void {
    if (this.#attached === this.driver.blocked) return
    this.#parts.entries.clear(this, this.requesterIds)
    this.#moveTo(this.driver.blocked)
  }

  #passThrough(): AttachResult {
    if (!this.identity) return 'incompatible'
    const { unit } = this
    unit.contexts.prepare(this.requesterIds)
    // AW must name the widest table the unit walks, though none is walked.
    const width = 31 - Math.clz32(unit.capabilities.sagaw)
    const entry = contextEntry({ domain: IDENTITY_ID, table: 0, width, type: TT.PASS_THROUGH })
    this.#parts.entries.set(this, this.requesterIds, entry)
    this.#moveTo(this.identity)
    return 'ok'
  }

  #translate(domain: Domain): AttachResult {
    if (!(domain instanceof SecondStageDomain) || obstacle(domain, this.unit.capabilities)) return 'incompatible'
    const { unit } = this
    unit.contexts.prepare(this.requesterIds)
    const id = domain.join(unit)
    const entry = contextEntry({ domain: id, table: domain.root, width: domain.width, type: TT.MULTI_LEVEL })
    this.#parts.entries.set(this, this.requesterIds, entry)
    this.#moveTo(domain)
    return 'ok'
  }

  /** The entries lead elsewhere by now: the old domain may give its id back. */
  #moveTo(domain: Domain): void {
    const old = this.#attached
    this.#attached = domain
    if (old instanceof SecondStageDomain) old.leave(this.unit)
  }
}
