/** Which function is attached to what. Facts: drivers/iommu/virtio-iommu.c viommu_attach_dev, viommu_detach_dev, viommu_ops. */
import * as io from '@ioasis/core'
import { ATTACH, DETACH, FLAG, STATUS, TYPE } from '../spec/iommu.ts'
import { VirtioDomain } from './domain.ts'
import { mustBeOk, type Viommu } from './viommu.ts'

const IDENTITY: io.Domain = { type: 'identity' }
const BLOCKED: io.Domain = { type: 'blocked' }
const caps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: false, pasidBits: 0 }
const paging = (domain: io.Domain): VirtioDomain | undefined => (domain instanceof VirtioDomain ? domain : undefined)

/** The driver of all devices. */
export class VirtioIommuDriver implements io.IommuDriver, io.AuditSource {
  readonly name = 'virtio-iommu'
  readonly #viommus: readonly Viommu[]
  /** In the order of attaching: functions behind one bridge share an endpoint, which follows the last of them. */
  readonly #attached = new Map<io.PciFunction, io.Domain>()

  constructor(viommus: readonly Viommu[]) {
    this.#viommus = viommus
  }
  /** viommu_probe_device. @throws UapiError as the device refuses PROBE */
  probe(fn: io.PciFunction): io.IommuDevice | undefined {
    const viommu = this.#viommus.find(({ covers }) => covers(fn.segment, fn.requester))
    if (!viommu) return undefined
    const alloc = ({ nestParent, dirtyTracking, data, pasid }: io.PagingOptions): VirtioDomain => {
      if (nestParent || dirtyTracking || data || pasid)
        throw new io.UapiError('EOPNOTSUPP', 'viommu_domain_alloc_paging')
      return new VirtioDomain(viommu)
    }
    const reserved = viommu.reserved(fn.requester)
    // Not `strict`: IOMMU_CAP_DEFERRED_FLUSH.
    const defaultDomain = alloc({})
    const attach = (domain: io.Domain, { pasid }: io.AttachHow): io.AttachResult => {
      if (pasid !== undefined) throw new io.UapiError('EOPNOTSUPP', 'iommu_attach_device_pasid', { pasid })
      if (domain !== IDENTITY && domain !== BLOCKED && paging(domain)?.viommu !== viommu) return 'incompatible'
      this.#move(viommu, fn, domain)
      return 'ok'
    }
    const release = (): void => {
      this.#move(viommu, fn)
      defaultDomain.retire()
    }
    const domains = { defaultDomain, identity: IDENTITY, blocked: BLOCKED, paging: { alloc } }
    return { fn, driver: this, unit: viommu, caps, requesterIds: [fn.requester], reserved, ...domains, attach, release }
  }
  claims(): readonly io.Claim[] {
    return this.#viommus.flatMap(({ name: unit, endpoints, domains, refused }): readonly io.Claim[] => {
      const attached = [...endpoints].map(([requester, domain]): io.Claim => {
        const type = domain.type as 'paging' | 'identity' | 'blocked'
        return { kind: 'attached', unit, segment: 0, requester, domain, type, tag: paging(domain)?.id ?? -1 }
      })
      const count: io.Claim = { kind: 'count', what: `${unit} refused requests`, actual: refused(), expected: 0 }
      return [count, ...attached, ...[...domains.values()].flatMap((domain) => paging(domain)?.claims() ?? [])]
    })
  }

  /** The endpoint follows the function, or without a domain those that are left. @throws UapiError as the device refuses; nothing has changed then */
  #move(viommu: Viommu, fn: io.PciFunction, domain?: io.Domain): void {
    const others = [...this.#attached].filter(([other]) => other !== fn && other.requester === fn.requester)
    const now = domain ?? others.at(-1)?.[1]
    this.#switch(viommu, fn.requester, now ?? BLOCKED)
    this.#attached.delete(fn)
    if (domain) this.#attached.set(fn, domain)
    if (now) viommu.endpoints.set(fn.requester, now)
    else viommu.endpoints.delete(fn.requester)
  }
  /** Attaching detaches from what was there. All goes in one batch: in Linux, which waits for each, DMA may fault in between. */
  #switch(viommu: Viommu, endpoint: io.Bdf, now: io.Domain): void {
    const before = viommu.endpoints.get(endpoint) ?? BLOCKED
    if (now === before) return
    const [from, to, identity] = [paging(before), paging(now), Number(viommu.read('DOMAIN_FIRST'))]
    const flags = now === IDENTITY ? FLAG.BYPASS : 0
    const attach = ATTACH.make({ type: TYPE.ATTACH, domain: to?.id ?? identity, endpoint, flags })
    const detach = DETACH.make({ type: TYPE.DETACH, domain: from?.id ?? identity, endpoint })
    let answer: Uint8Array = attach
    viommu.add(now === BLOCKED ? detach : attach, (got) => (answer = got))
    to?.join()
    viommu.sync()
    const left = answer[0] === STATUS.OK ? from : to
    left?.leave()
    mustBeOk(answer, 0, 'viommu_attach_dev')
  }
}
