/**
 * A group: the smallest set of functions that can be isolated, and who owns their DMA. One owner at a time, decided here and
 * nowhere else: VFIO, iommufd and any rival ask this file. Facts: drivers/iommu/iommu.c "DMA ownership".
 */
import { UapiError } from '../errno.ts'
import type { GroupReason } from '../pci/grouping.ts'
import type { PciFunction } from '../pci/function.ts'
import type { Domain, PagingDomain, PagingOptions } from './domain.ts'
import type { AttachResult, IommuDevice, ReservedRegion } from './driver.ts'
import { mapDirect } from './direct-mappings.ts'
import { GroupAttachment } from './group-attachment.ts'

/** `/sys/kernel/iommu_groups/N/type`. `DMA-FQ`: the DMA API with deferred flushes; `unknown`: windows in place of domains (POWER). */
export type DefaultDomainType = 'DMA' | 'DMA-FQ' | 'identity' | 'blocked' | 'unknown'

/** One IOMMU group. */
export class Group {
  readonly id: number
  /** Why each member is here, in the order they joined. */
  readonly reasons: { readonly fn: PciFunction; readonly because: readonly GroupReason[] }[] = []
  readonly #devices: IommuDevice[] = []
  readonly #attachment = new GroupAttachment(this.#devices)
  #default: Domain | undefined
  /** What the first member brought: for `auto`, and for the way back from identity. */
  #atBoot: Domain | undefined
  /** Unmaps are flushed at once (DMA) or in batches (DMA-FQ): what sysfs was told; undefined: as the domain says. */
  #strict: boolean | undefined
  /** A default domain that was made for this group, and not by a member. */
  #made: PagingDomain | undefined
  #owner: object | undefined
  /** Drivers using the DMA API (no owner), or claims of the owner. */
  #uses = 0

  /** `domain1-pefd`: its driver's name for it; undefined: it gave none. */
  readonly name: string | undefined

  /** Made by the registry. @param id the lowest free number @param name the driver's own */
  constructor(id: number, name?: string) {
    this.id = id
    this.name = name
  }

  /** The members, in the order they joined. */
  get devices(): readonly IommuDevice[] {
    return this.#devices
  }
  /** The members that are PCI functions. */
  get members(): readonly PciFunction[] {
    return this.#devices.flatMap((d) => d.fn ?? [])
  }
  /** What the members are attached to now. */
  get domain(): Domain | undefined {
    return this.#attachment.domain
  }
  /** What the kernel gave them at boot. */
  get defaultDomain(): Domain | undefined {
    return this.#default
  }
  /** How sysfs names the default domain. */
  get defaultDomainType(): DefaultDomainType {
    const type = this.#default?.type
    if (type === 'identity' || type === 'blocked') return type
    if (this.#devices[0]?.windows) return 'unknown'
    return (this.#strict ?? this.#default?.strict) ? 'DMA' : 'DMA-FQ'
  }
  /** Attachments, for PASIDs. */
  get attachment(): GroupAttachment {
    return this.#attachment
  }
  /** Who owns the group's DMA: a VFIO container, an iommufd context. */
  get owner(): object | undefined {
    return this.#owner
  }
  /** Somebody uses its DMA: drivers through the DMA API, or an owner (iommu_group_dma_owner_claimed). */
  get claimed(): boolean {
    return this.#uses > 0
  }
  /** Regions of all members, without doubles, by address. */
  get reserved(): readonly ReservedRegion[] {
    const seen = new Map<string, ReservedRegion>()
    for (const d of this.#devices) for (const r of d.reserved) seen.set(`${r.first}-${r.last}-${r.type}`, r)
    return [...seen.values()].toSorted((a, b) => (a.first < b.first ? -1 : 1))
  }

  /**
   * A function joins; the first one decides the default domain.
   * @throws UapiError ENOMEM, or EINVAL when its unit cannot use the group's domain; it did not join then
   */
  add(device: IommuDevice, because: readonly GroupReason[]): void {
    const standard = this.#default ?? device.defaultDomain
    mapDirect(standard, device)
    if (this.domain) this.#attachment.join(device)
    this.#devices.push(device)
    try {
      if (!this.domain) this.#mustSet(standard)
    } catch (error) {
      this.#devices.pop()
      throw error
    }
    if (device.fn) this.reasons.push({ fn: device.fn, because })
    this.#default = standard
  }
  /** A function leaves. @returns whether the group is empty now */
  remove(device: IommuDevice): boolean {
    this.#devices.splice(this.#devices.indexOf(device), 1)
    const reason = this.reasons.findIndex(({ fn }) => fn === device.fn)
    if (reason >= 0) this.reasons.splice(reason, 1)
    // It may have been the leaving member's own; the next one brings another.
    if (this.#atBoot !== this.#default) this.#atBoot = undefined
    device.release()
    if (this.#devices.length > 0) return false
    this.#made?.free()
    this.#made = undefined
    return true
  }
  /**
   * Writes `type` (iommu_group_store_type): the default domain becomes one of that kind. From DMA to DMA-FQ nothing moves, so
   * that is allowed while the group is in use. `auto`: as at boot.
   * @throws UapiError EPERM while drivers use the DMA API or somebody owns the group; EOPNOTSUPP when the hardware cannot
   * pass requests through; EINVAL when a member cannot be moved; ENOMEM
   */
  setDefaultType(type: 'DMA' | 'DMA-FQ' | 'identity' | 'auto'): void {
    const first = this.#devices[0]
    if (type === 'DMA-FQ' && this.defaultDomainType === 'DMA') {
      this.#strict = false
      return
    }
    if (!first || this.#uses > 0) throw new UapiError('EPERM', 'iommu_group_store_type', { group: this.id })
    if (first.windows && type !== 'auto') throw new UapiError('EINVAL', 'iommu_group_store_type', { group: this.id })
    const old = this.#default
    const next = this.#defaultOf(type, first)
    if (next !== old) this.#moveDefault(next)
    this.#strict = type === 'auto' || next.type === 'identity' ? undefined : type === 'DMA'
  }

  /**
   * A driver that uses the DMA API binds to a member.
   * @throws UapiError EBUSY while the group has an owner
   */
  use(): void {
    if (this.#uses > 0 && (this.#owner || this.domain !== this.#default || this.#attachment.pasids.size > 0)) {
      throw new UapiError('EBUSY', 'iommu_device_use_default_domain', { group: this.id })
    }
    this.#uses++
  }
  /** That driver unbinds. @throws Error when none had bound */
  unuse(): void {
    if (this.#uses === 0) throw new Error(`group ${this.id}: unuse without use`)
    this.#uses--
  }

  /**
   * Takes the group for one owner and blocks its DMA.
   * @param shared further claims by the same owner are counted (per device); else even the owner is refused (per group)
   * @throws UapiError EPERM when a driver uses the DMA API or somebody else owns it; EBUSY, EINVAL when blocking fails
   */
  claim(owner: object, shared: boolean): void {
    if (this.#uses > 0) {
      if (!shared || this.#owner !== owner) throw new UapiError('EPERM', 'iommu_claim_dma_owner', { group: this.id })
      this.#uses++
      return
    }
    if ((this.domain && this.domain !== this.#default) || this.#attachment.pasids.size > 0) {
      throw new UapiError('EBUSY', 'iommu_claim_dma_owner', { group: this.id })
    }
    if (this.#set(this.#blocked()) === 'incompatible') {
      throw new UapiError('EINVAL', 'iommu_claim_dma_owner', { group: this.id })
    }
    this.#owner = owner
    this.#uses = 1
  }
  /** Gives up one claim; the last one gives the group back to the kernel's default domain. @throws Error for another than the owner */
  release(owner: object): void {
    if (this.#owner !== owner) throw new Error(`group ${this.id}: released by somebody who does not own it`)
    if (--this.#uses > 0) return
    this.#owner = undefined
    this.#mustSet(this.#default)
  }

  /**
   * Makes a paging domain that fits the first member's unit (iommu_paging_domain_alloc).
   * @throws UapiError EOPNOTSUPP when its hardware has no paging domains or lacks an option; ENOMEM
   */
  allocDomain(options: PagingOptions = {}): PagingDomain {
    const paging = this.#devices[0]?.paging
    if (!paging) throw new UapiError('EOPNOTSUPP', 'iommu_paging_domain_alloc', { group: this.id })
    return paging.alloc(options)
  }

  /**
   * Attaches a domain of the owner.
   * @returns `incompatible`: another domain may fit
   * @throws UapiError EBUSY when a domain other than the default or the blocking one is attached
   */
  attach(domain: Domain): AttachResult {
    const now = this.domain
    if (now && now !== this.#default && now.type !== 'blocked') {
      throw new UapiError('EBUSY', 'iommu_attach_group', { group: this.id })
    }
    return this.#set(domain)
  }
  /** Puts another domain in the place of the attached one; DMA sees one or the other. */
  replace(domain: Domain): AttachResult {
    return this.#set(domain)
  }
  /** Back to blocked while owned, else to the default domain. */
  detach(): void {
    this.#mustSet(this.#owner ? this.#blocked() : this.#default)
  }

  /** A domain for the type. One that is there already is kept: nothing is mapped in it but what stays mapped. */
  #defaultOf(type: 'DMA' | 'DMA-FQ' | 'identity' | 'auto', first: IommuDevice): Domain {
    const atBoot = (this.#atBoot ??= first.defaultDomain)
    if (type === 'auto') return atBoot
    if (type === 'identity') {
      if (!first.identity) throw new UapiError('EOPNOTSUPP', 'iommu_group_store_type', { group: this.id })
      return first.identity
    }
    if (this.#default && this.#default.type !== 'identity') return this.#default
    return atBoot.type === 'identity' ? this.allocDomain() : atBoot
  }
  #moveDefault(next: Domain): void {
    const old = this.#made
    const made = next.type === 'paging' && next !== this.#atBoot ? (next as PagingDomain) : undefined
    try {
      for (const device of this.#devices) mapDirect(next, device)
      if (this.#set(next) === 'incompatible') {
        throw new UapiError('EINVAL', 'iommu_group_store_type', { group: this.id })
      }
    } catch (error) {
      if (made !== old) made?.free()
      throw error
    }
    this.#default = next
    this.#made = made
    if (old !== made) old?.free()
  }
  #blocked(): Domain {
    const first = this.#devices[0]
    if (!first) throw new Error(`group ${this.id} is empty`)
    return first.blocked
  }
  #set(domain: Domain): AttachResult {
    return this.#attachment.set(domain)
  }
  #mustSet(domain: Domain | undefined): void {
    if (!domain || this.#devices.length === 0) return
    if (this.#set(domain) === 'incompatible')
      throw new Error(`group ${this.id}: its own ${domain.type} domain is refused`)
  }
}
