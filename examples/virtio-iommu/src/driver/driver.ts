/** Which function is attached to what. Facts: drivers/iommu/virtio-iommu.c viommu_attach_dev, viommu_detach_dev, viommu_ops. */
import * as io from '@ioasis/core'
import { ATTACH, DETACH, FLAG, TYPE } from '../spec/virtio-iommu.ts'
import { VirtioDomain } from './domain.ts'
import type { Viommu } from './viommu.ts'

const [IDENTITY, BLOCKED] = [{ type: 'identity' }, { type: 'blocked' }] as const
const caps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: false, pasidBits: 0 }
const paging = (domain: io.Domain): VirtioDomain | undefined => (domain instanceof VirtioDomain ? domain : undefined)

/** Attaching detaches from what was there, in one batch: in Linux, which waits for each request, DMA may fault in between. */
function change({ endpoints, identity, add, sync }: Viommu, endpoint: io.Bdf, now: io.Domain): void {
  const before = endpoints.get(endpoint) ?? BLOCKED
  if (now === before) return
  const [from, to, flags] = [paging(before), paging(now), now === IDENTITY ? FLAG.BYPASS : 0]
  const attach = ATTACH.make({ type: TYPE.ATTACH, domain: to?.id ?? identity, endpoint, flags })
  const detach = DETACH.make({ type: TYPE.DETACH, domain: from?.id ?? identity, endpoint })
  add(now === BLOCKED ? detach : attach)
  to?.join()
  sync()
  endpoints.set(endpoint, now)
  from?.left()
}

/** The driver of all devices. */
export function virtioIommuDriver(viommus: readonly Viommu[]): io.IommuDriver & io.AuditSource {
  /** Functions that were attached: those behind one bridge share an endpoint. */
  const functions = new Set<io.PciFunction>()
  /** viommu_probe_device. @throws UapiError as the device refuses PROBE */
  function probe(fn: io.PciFunction): io.IommuDevice | undefined {
    const viommu = viommus.find(({ covers }) => covers(fn.segment, fn.requester))
    if (!viommu) return undefined
    const alloc = ({ nestParent, dirtyTracking, data, pasid }: io.PagingOptions): VirtioDomain => {
      if (nestParent || dirtyTracking || data || pasid) throw new io.UapiError('EOPNOTSUPP', 'domain_alloc_paging')
      return new VirtioDomain(viommu)
    }
    const reserved = viommu.reserved(fn.requester)
    // Not `strict`: IOMMU_CAP_DEFERRED_FLUSH.
    const defaultDomain = alloc({})
    const attach = (domain: io.Domain, { pasid }: io.AttachHow): io.AttachResult => {
      if (pasid !== undefined) throw new io.UapiError('EOPNOTSUPP', 'iommu_attach_device_pasid', { pasid })
      if (domain !== IDENTITY && domain !== BLOCKED && paging(domain)?.viommu !== viommu) return 'incompatible'
      change(viommu, fn.requester, domain)
      functions.add(fn)
      return 'ok'
    }
    const release = (): void => {
      functions.delete(fn)
      if (![...functions].some(({ requester }) => requester === fn.requester)) {
        change(viommu, fn.requester, BLOCKED)
        viommu.endpoints.delete(fn.requester)
      }
      defaultDomain.retired = true
      defaultDomain.left()
    }
    const domains = { defaultDomain, identity: IDENTITY, blocked: BLOCKED, paging: { alloc } }
    return { fn, driver, unit: viommu, caps, requesterIds: [fn.requester], reserved, ...domains, attach, release }
  }
  function claims(): readonly io.Claim[] {
    return viommus.flatMap(({ name: unit, endpoints, domains }): readonly io.Claim[] => {
      const attached = [...endpoints].map(([requester, domain]): io.Claim => {
        const type = domain.type as 'paging' | 'identity' | 'blocked'
        return { kind: 'attached', unit, segment: 0, requester, domain, type, tag: paging(domain)?.id ?? -1 }
      })
      return [...attached, ...[...domains].flatMap((domain) => domain.claims())]
    })
  }
  const driver = { name: 'virtio-iommu', probe, claims }
  return driver
}
