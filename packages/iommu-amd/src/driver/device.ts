/**
 * One function as the AMD-Vi driver sees it. drivers/iommu/amd/iommu.c amd_iommu_probe_device, amd_iommu_attach_device,
 * attach_device, detach_device, amd_iommu_capable.
 */
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
  type IovaRange,
  type PageRequest,
  type PagingDomain,
  type PagingOptions,
  type Pasid,
  type PciFunction,
  type ReservedRegion,
  UapiError,
  type ViommuSupport,
} from '@ioasis/core'
import { EFR } from '../spec/features.ts'
import { ALL, type Command } from './command.ts'
import { type Attachment, attachedClaims, entryOf, makeGuestTables, NO_GUEST_TABLES } from './attachment.ts'
import type { DeviceDriver, DeviceParts } from './device-parts.ts'
import { type Dte, emptyDte } from './device-table-entry.ts'
import { AmdDomain } from './domain.ts'
import { has } from './features.ts'
import { FunctionCaps } from './function-caps.ts'
import { hwInfo } from './hw-info.ts'
import { InterruptTable } from './interrupt-table.ts'
import type { IvhdUnit } from './ivhd-unit.ts'
import { AmdNestedDomain, AmdViommu } from './nested-domain.ts'
import { ProcessPasids } from './process-pasids.ts'
import { tableFor } from './table-choice.ts'

/** A function behind one unit. Blocked until something is attached. */
export class AmdDevice implements IommuDevice {
  readonly fn: PciFunction
  readonly driver: DeviceDriver
  readonly unit: IvhdUnit
  readonly caps: IommuCaps
  readonly requesterIds: readonly Bdf[]
  readonly reserved: readonly ReservedRegion[]
  readonly blocked: Domain
  readonly identity: Domain
  readonly paging: { alloc(options: PagingOptions): PagingDomain }
  readonly viommu: ViommuSupport
  readonly pageRequests?: { listen(listener: ((request: PageRequest) => void) | undefined): void }
  /** PASIDs that the function and its unit have, from 0 on; 0: none. */
  readonly maxPasids: number
  readonly #parts: DeviceParts
  readonly #caps: FunctionCaps
  readonly #pasids: ProcessPasids
  #listener: ((request: PageRequest) => void) | undefined
  #attachment: Attachment | undefined
  #interrupts: InterruptTable | undefined
  #default: Domain | undefined

  constructor(fn: PciFunction, parts: DeviceParts) {
    const { driver, unit, entries } = parts
    const { features } = driver
    this.fn = fn
    this.driver = driver
    this.unit = unit
    this.#parts = parts
    const ids = [...dmaAliases(fn).map((alias) => alias.bdf), parts.alias]
    this.requesterIds = [...new Set(ids)].filter((id) => id <= entries.table.lastBdf)
    this.reserved = parts.reserved
    this.blocked = driver.blocked
    this.identity = driver.identity
    this.#caps = new FunctionCaps(fn, features.pageRequests)
    this.maxPasids = Math.min(features.maxPasids, this.#caps.maxPasids)
    this.#pasids = new ProcessPasids(this.maxPasids, (pasid) => this.#flushPasid(pasid))
    this.caps = {
      cacheCoherent: true,
      enforcesCoherency: true,
      isolatedMsi: parts.interruptRemapping,
      pasidBits: this.maxPasids > 0 ? Math.floor(Math.log2(this.maxPasids)) : 0,
      ats: driver.iotlb && this.#caps.ats,
      // amd_iommu_hd_support(): host tables, and what firmware's table tells of this unit.
      dirtyTracking: features.hostIovaBits > 0 && has(unit.told.efr, EFR.HDSup),
    }
    this.paging = { alloc: (options) => this.#alloc(options) }
    // amd_iommufd_get_viommu_size() answers for every type.
    this.viommu = { has: () => true, alloc: (_frame, parent) => this.#allocViommu(parent) }
    if (this.#caps.pri) this.pageRequests = { listen: (listener) => (this.#listener = listener) }
  }

  /** Made when first asked for, and kept until the function goes. @throws UapiError ENOMEM */
  get defaultDomain(): Domain {
    // Functions with PASIDs pass through, so that these can be used (amd_iommu_def_domain_type).
    const passes = this.#parts.identityDefault || this.#caps.pasid
    return (this.#default ??= passes ? this.identity : this.#alloc({}))
  }
  /** What requests of the function see now. */
  get attached(): Domain {
    return this.#attachment?.domain ?? this.blocked
  }
  /** It has a domain id of its own, for guest tables. */
  get keepsGuestDomain(): boolean {
    return this.#attachment?.gcr3 !== undefined
  }
  hwInfo(type: number): HwInfo {
    return hwInfo(type, this.driver.features)
  }

  attach(domain: Domain, { pasid }: AttachHow): AttachResult {
    if (pasid !== undefined) {
      const gcr3 = this.#caps.pasidEnabled ? this.#attachment?.gcr3 : undefined
      if (domain === this.blocked) this.#pasids.clear(pasid)
      else this.#pasids.attach(domain, pasid, gcr3)
      return 'ok'
    }
    if (domain === this.attached) return 'ok'
    if (domain === this.driver.blocked) this.#block()
    else return this.#attach(domain)
    return 'ok'
  }

  /** irq_remapping_alloc(), irq_remapping_free(): the first vectors bring the function's table, whatever it is attached to. */
  allowMessages(vectors: readonly number[]): () => void {
    const { host, interruptRemapping, driver, entries } = this.#parts
    if (!interruptRemapping) return () => {}
    const { wideInterrupts: wide, interrupts2k: many } = driver.features
    const make = (): InterruptTable => new InterruptTable({ wide, many }, host)
    const table = (this.#interrupts ??= entries.connect(this.unit, this, this.requesterIds, make))
    for (const vector of vectors) table.allow(vector)
    this.#forgetMessages()
    return () => {
      if (this.#interrupts !== table) return
      for (const vector of vectors) table.refuse(vector)
      this.#forgetMessages()
    }
  }

  release(): void {
    this.#pasids.clearAll()
    this.#block()
    this.#refuseMessages()
    if (this.#default instanceof AmdDomain) this.#default.retire()
    this.#default = undefined
    this.driver.forget(this.fn)
  }

  /** A page request that the unit logged. @returns nobody listens */
  pageRequested(request: PageRequest): boolean {
    this.#listener?.(request)
    return this.#listener === undefined
  }
  /** amd_iommu_complete_ppr(). */
  answer(pasid: Pasid, group: number, code: number): void {
    const { bdf } = this.fn
    const carried = this.#caps.responseHasPasid ? { pasid } : {}
    this.unit.submit([{ kind: 'page response', requester: bdf, code, group, ...carried }])
  }

  /** What is attached for each requester id of which this function is the last user. @param near as in `AuditSource` */
  claims(near?: IovaRange): readonly Claim[] {
    const { domain, guestDomain } = this.#attachment ?? { domain: this.blocked, guestDomain: 0 }
    const { entries, host } = this.#parts
    const mine = (id: Bdf): boolean => {
      const users = entries.usersOf(id)
      return this.#attachment ? users.at(-1) === this : users.length === 0
    }
    const { identity, unit } = this
    const { identityId, features } = this.driver
    const { guestLevels } = features
    const requesters = this.requesterIds.filter(mine)
    const pasids = this.#pasids.attached
    const attached = { unit, requesters, domain, guestDomain, identity: { domain: identity, id: identityId } }
    return attachedClaims({ ...attached, pasids, guestLevels }, host.cpu, near)
  }

  /** @throws UapiError EOPNOTSUPP, ENOMEM */
  #alloc(options: PagingOptions): AmdDomain {
    const { features } = this.driver
    const how = { features, dirtyTracking: this.caps.dirtyTracking === true, preferred: this.#parts.tables }
    const mode = tableFor(options, how)
    if (!mode) throw new UapiError('EOPNOTSUPP', 'amd_iommu_domain_alloc_paging_flags', { function: this.fn.name })
    return this.driver.allocDomain(mode, options)
  }
  #allocViommu(parent: PagingDomain): AmdViommu {
    if (!(parent instanceof AmdDomain)) throw new UapiError('EINVAL', 'amd_iommufd_viommu_init')
    const { ids, features } = this.driver
    const { guestLevels } = features
    return new AmdViommu(this.unit, parent, { ids, guestLevels, nested: this.#parts.connectNesting })
  }

  /** The new entry is written over the old one; then the old domain is forgotten. */
  #attach(domain: Domain): AttachResult {
    if (!this.#fits(domain)) return 'incompatible'
    const next = this.#prepare(domain)
    const { unit } = this
    const old = this.#attachment
    this.#enable(domain)
    if (domain instanceof AmdDomain) domain.join(next)
    else if (domain instanceof AmdNestedDomain) domain.parent.join(next)
    this.#attachment = next
    this.#parts.entries.set(unit, this, this.requesterIds, this.#entry(next))
    this.#forgetDevice()
    if (old) this.#leave(old)
    return 'ok'
  }
  #block(): void {
    const old = this.#attachment
    if (!old) return
    this.#attachment = undefined
    this.#caps.disableAll()
    this.#parts.entries.clear(this.unit, this, this.requesterIds, emptyDte(this.#parts.initial))
    this.#leave(old)
  }

  #refuseMessages(): void {
    if (!this.#interrupts) return
    this.#interrupts = undefined
    this.#parts.entries.disconnect(this.unit, this, this.requesterIds)
  }
  /** iommu_flush_irt_and_complete(). */
  #forgetMessages(): void {
    this.unit.invalidate(this.requesterIds.map((requester) => ({ kind: 'interrupts', requester })))
  }

  #fits(domain: Domain): boolean {
    if (domain === this.identity) return true
    if (domain instanceof AmdDomain) {
      const { features } = this.driver
      if (domain.mode === 'v1' ? features.hostIovaBits === 0 : !features.guestTables) return false
      return !domain.tracksDirty || this.caps.dirtyTracking === true
    }
    return domain instanceof AmdNestedDomain && domain.viommu.unit === this.unit && !this.#caps.pasidEnabled
  }
  /** Takes what the attachment needs. @throws UapiError ENOMEM, ENOSPC, EINVAL; nothing has changed then */
  #prepare(domain: Domain): Attachment {
    const { host, driver } = this.#parts
    const { features } = driver
    const guest =
      (domain instanceof AmdDomain && domain.mode === 'v2') || (domain === this.identity && this.#caps.pasid)
    const made = guest ? makeGuestTables(domain, this.maxPasids, { host, ids: driver.ids, features }) : NO_GUEST_TABLES
    return {
      domain,
      unit: this.unit,
      ...made,
      devicePages: (range, ofGuest) => this.#devicePages(range, ofGuest ? 0 : undefined),
      refresh: () => this.#refresh(),
    }
  }
  #enable(domain: Domain): void {
    const { iotlb } = this.driver
    if (domain === this.identity || (domain instanceof AmdDomain && domain.mode === 'v2')) this.#caps.enableAll(iotlb)
    else {
      this.#caps.disablePasid()
      this.#caps.enableAts(iotlb)
    }
  }
  #entry(attachment: Attachment): Dte {
    const { identityId, features } = this.driver
    const { guestLevels } = features
    return entryOf(attachment, { initial: this.#parts.initial, caps: this.#caps, identityId, guestLevels })
  }
  /** What the entry says of the same domain changed. */
  #refresh(): void {
    if (!this.#attachment) return
    this.#parts.entries.set(this.unit, this, this.requesterIds, this.#entry(this.#attachment))
    this.#forgetDevice()
  }
  /** The device's own cache, whole: its entry changed. */
  #forgetDevice(): void {
    const commands = this.#devicePages(ALL, undefined)
    if (commands.length > 0) this.unit.invalidate(commands)
  }
  #devicePages(range: IovaRange, pasid: Pasid | undefined): readonly Command[] {
    if (!this.#caps.atsEnabled) return []
    const { first, last } = range
    const of = pasid === undefined ? {} : { pasid }
    return [{ kind: 'device pages', requester: this.fn.bdf, depth: this.#caps.depth, first, last, ...of }]
  }

  /** Nothing of the old attachment is reachable or cached any more; what it kept is given back. */
  #leave(old: Attachment): void {
    const { domain, gcr3, guestDomain } = old
    const { unit, driver } = this
    this.#pasids.forget()
    if (domain instanceof AmdDomain) domain.flushAll()
    const tag = domain instanceof AmdNestedDomain ? domain.id : domain === this.identity ? driver.identityId : 0
    if (tag) unit.invalidate([{ kind: 'pages', domain: tag, ...ALL, directories: true }])
    if (gcr3) {
      unit.invalidate([{ kind: 'pages', domain: guestDomain, ...ALL, directories: true }])
      gcr3.free()
      driver.ids.free(guestDomain)
    }
    if (domain instanceof AmdDomain) domain.leave(old)
    else if (domain instanceof AmdNestedDomain) domain.parent.leave(old)
  }
  /** amd_iommu_dev_flush_pasid_pages(), of everything. */
  #flushPasid(pasid: Pasid): void {
    const domain = this.#attachment?.guestDomain ?? 0
    this.unit.invalidate([
      { kind: 'pages', domain, ...ALL, directories: true, pasid },
      ...this.#devicePages(ALL, pasid),
    ])
  }
}
