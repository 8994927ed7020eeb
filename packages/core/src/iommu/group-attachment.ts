/**
 * What the members of a group are attached to, as one thing: attach, replace and detach over all members and PASIDs, with
 * roll-back. Facts: drivers/iommu/iommu.c __iommu_group_set_domain_internal, __iommu_set_group_pasid.
 *
 * While a replace runs, DMA of a member sees the old or the new domain, nothing else: members are switched one by one, each
 * by its driver in one step. Not modelled: deferred attach (kdump), members blocked while a reset recovers.
 */
import type { Pasid } from '../address.ts'
import { UapiError } from '../errno.ts'
import type { Domain } from './domain.ts'
import { type AttachResult, deviceName, type IommuDevice } from './driver.ts'

/** The attachments of one group. */
export class GroupAttachment {
  readonly #devices: readonly IommuDevice[]
  readonly #pasids = new Map<Pasid, Domain>()
  #domain: Domain | undefined

  /** @param devices the group's members; a live list, in the order they joined */
  constructor(devices: readonly IommuDevice[]) {
    this.#devices = devices
  }

  /** What requests without a PASID see; undefined until the first attach. */
  get domain(): Domain | undefined {
    return this.#domain
  }
  /** PASIDs attached, with their domains. */
  get pasids(): ReadonlyMap<Pasid, Domain> {
    return this.#pasids
  }

  /**
   * Attaches all members to `domain`. When one refuses, those switched before go back.
   * @returns `incompatible` when a member's unit cannot use the domain; nothing has changed then
   * @throws UapiError EINVAL for a blocking domain where firmware demands a one-to-one mapping; what the driver throws
   */
  set(domain: Domain): AttachResult {
    const old = this.#domain
    if (old === domain) return 'ok'
    const done: IommuDevice[] = []
    try {
      for (const device of this.#devices) {
        if (this.#attach(device, domain, old) === 'incompatible') {
          this.#revert(done, domain, old)
          return 'incompatible'
        }
        done.push(device)
      }
    } catch (error) {
      this.#revert(done, domain, old)
      throw error
    }
    this.#domain = domain
    return 'ok'
  }

  /** A function is about to join: it sees what the members see. @throws UapiError EINVAL when its unit cannot */
  join(device: IommuDevice): void {
    if (!this.#domain) return
    if (device.attach(this.#domain, {}) === 'incompatible') {
      throw new UapiError('EINVAL', 'iommu_group_add_device', { function: deviceName(device) })
    }
  }

  /**
   * Attaches a domain for one PASID of all members that have PASIDs.
   * @param how `replace`: something is attached for it, and goes; else the PASID must be free
   * @throws UapiError EBUSY, EINVAL as iommu_attach_device_pasid and iommu_replace_device_pasid
   */
  setPasid(pasid: Pasid, domain: Domain, how: 'attach' | 'replace'): AttachResult {
    const able = this.#devices.filter((d) => d.caps.pasidBits > 0)
    const old = this.#pasids.get(pasid)
    if (how === 'attach' && able.some((d) => pasid >= 2 ** d.caps.pasidBits)) {
      throw new UapiError('EINVAL', 'iommu_attach_device_pasid', { pasid })
    }
    if (how === 'attach' && old) throw new UapiError('EBUSY', 'iommu_attach_device_pasid', { pasid })
    if (how === 'replace' && !old) throw new UapiError('EINVAL', 'iommu_replace_device_pasid', { pasid })
    if (old === domain) return 'ok'
    const done: IommuDevice[] = []
    const undo = (): void => {
      for (const d of done) d.attach(old ?? d.blocked, { pasid, replacing: domain })
    }
    try {
      for (const device of able) {
        if (device.attach(domain, { pasid, ...(old && { replacing: old }) }) === 'incompatible') {
          undo()
          return 'incompatible'
        }
        done.push(device)
      }
    } catch (error) {
      undo()
      throw error
    }
    this.#pasids.set(pasid, domain)
    return 'ok'
  }

  /** Takes a PASID away; harmless when nothing is attached for it. */
  removePasid(pasid: Pasid): void {
    const old = this.#pasids.get(pasid)
    if (!old) return
    for (const d of this.#devices) if (d.caps.pasidBits > 0) d.attach(d.blocked, { pasid, replacing: old })
    this.#pasids.delete(pasid)
  }

  #attach(device: IommuDevice, domain: Domain, old: Domain | undefined): AttachResult {
    if (domain.type === 'blocked' && device.reserved.some((r) => r.type === 'direct')) {
      throw new UapiError('EINVAL', 'iommu_device_set_domain', {
        function: deviceName(device),
        needs: 'a one-to-one mapping',
      })
    }
    return device.attach(domain, old ? { replacing: old } : {})
  }

  /** A driver must take a domain back that it had a moment ago; one that does not has broken its promise. */
  #revert(done: readonly IommuDevice[], domain: Domain, old: Domain | undefined): void {
    if (!old) return
    for (const device of done) {
      if (device.attach(old, { replacing: domain }) === 'incompatible') {
        throw new Error(`${device.driver.name}: ${deviceName(device)} refuses the domain it had before`)
      }
    }
  }
}
