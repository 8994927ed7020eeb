/** What one type1 container has mapped, and in which domains. drivers/vfio/vfio_iommu_type1.c. */
import { type Caller, type ContainerMember, type Prot, UapiError } from '@ioasis/core'
import { VFIO_EXTENSION } from '@ioasis/uapi'
import { Domains } from './domains.ts'
import { Mapping, type MappingRange } from './mapping.ts'
import { Mappings } from './mappings.ts'

const { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL, VFIO_UPDATE_VADDR, VFIO_DMA_CC_IOMMU } = VFIO_EXTENSION
/** dma_entry_limit: mappings of one container. */
const MOST_MAPPINGS = 0xffff

/** How a range is given up. */
export interface UnmapRequest {
  readonly iova: bigint
  /** Bytes. */
  readonly size: bigint
  /** All there is; `iova` and `size` are 0. */
  readonly all: boolean
  /** Keep it mapped, but take back the address it was made from. */
  readonly invalidateVaddr: boolean
  /** Told of each mapping before it goes. */
  readonly before?: (mapping: Mapping) => void
}

/** One container's mappings. */
export class Type1 {
  readonly domains: Domains
  readonly mappings: Mappings = new Mappings()
  /** VFIO_IOMMU_DIRTY_PAGES_FLAG_START was given. */
  tracksDirty = false
  /** Version 2: an unmap may not cut a mapping. */
  readonly v2: boolean
  readonly #emulated = new Set<ContainerMember>()
  readonly #closed: () => void

  constructor(pageBytes: number, v2: boolean, closed: () => void) {
    this.domains = new Domains(pageBytes)
    this.v2 = v2
    this.#closed = closed
  }

  /** Mappings that can still be made. */
  get available(): number {
    return MOST_MAPPINGS - this.mappings.count
  }
  /** Smallest page. */
  get pageBytes(): bigint {
    const sizes = this.domains.pageSizes
    return sizes & -sizes
  }

  checkExtension(extension: number): number {
    if (extension === VFIO_UPDATE_VADDR) return this.#emulated.size === 0 ? 1 : 0
    if (extension === VFIO_DMA_CC_IOMMU) return this.domains.enforced ? 1 : 0
    return extension === VFIO_TYPE1_IOMMU || extension === VFIO_TYPE1v2_IOMMU || extension === VFIO_UNMAP_ALL ? 1 : 0
  }

  attach(member: ContainerMember): void {
    if (this.mappings.all.some(({ vaddrInvalid }) => vaddrInvalid))
      throw new UapiError('EBUSY', 'vfio_iommu_type1_attach_group', { group: member.id })
    const { iommu } = member
    if (!iommu) this.#emulated.add(member)
    else {
      const occupied = (first: bigint, last: bigint): boolean => this.mappings.find(first, last) !== undefined
      this.domains.attach(iommu, occupied, (domain) => {
        for (const mapping of this.mappings.all) mapping.mapTo(domain)
      })
    }
  }
  detach(member: ContainerMember): void {
    const { iommu } = member
    if (iommu) {
      this.domains.detach(iommu, () => {
        for (const mapping of this.mappings.all) this.#unmap(mapping)
      })
    } else this.#emulated.delete(member)
    if (this.domains.all.length === 0 && this.#emulated.size === 0) this.#forgetAll()
  }
  close(): void {
    this.#forgetAll()
    this.#closed()
  }

  /** @throws UapiError as vfio_dma_do_map() */
  map(caller: Caller, range: MappingRange, prot: Prot): void {
    const { iova, size } = range
    if (this.mappings.find(iova, iova + size - 1n)) throw new UapiError('EEXIST', 'VFIO_IOMMU_MAP_DMA', { iova, size })
    if (this.available === 0) throw new UapiError('ENOSPC', 'VFIO_IOMMU_MAP_DMA', { iova, size })
    const { valid } = this.domains
    if (valid && !valid.some(({ first, last }) => iova >= first && iova + size - 1n <= last))
      throw new UapiError('EINVAL', 'VFIO_IOMMU_MAP_DMA', { iova, size })
    const mapping = new Mapping(range, prot, caller)
    if (this.domains.all.length > 0) this.#pinAndMap(mapping, caller)
    this.mappings.add(mapping)
  }
  /** @returns bytes that were mapped @throws UapiError as vfio_dma_do_unmap() */
  unmap(request: UnmapRequest): bigint {
    const { iova, invalidateVaddr } = request
    const last = request.all ? (1n << 64n) - 1n : iova + request.size - 1n
    if (this.v2 && !request.all) this.mustNotCut(iova, last, 'VFIO_IOMMU_UNMAP_DMA')
    const hit = this.mappings.within(iova, last)
    // Version 1 takes whole mappings whose beginning was named, and stops at one that begins before.
    const taken = this.v2 || !hit[0] || iova <= hit[0].iova ? hit : []
    const bytes = taken.reduce((sum, { size }) => sum + size, 0n)
    if (invalidateVaddr) this.#invalidate(taken)
    else {
      for (const mapping of taken) {
        request.before?.(mapping)
        this.#unmap(mapping)
        this.mappings.remove(mapping)
      }
    }
    return bytes
  }

  /** @throws UapiError EINVAL when an end of [first, last] lies inside a mapping */
  mustNotCut(first: bigint, last: bigint, operation: string): void {
    const low = this.mappings.find(first, first)
    const high = this.mappings.find(last, last)
    if ((low && low.iova !== first) || (high && high.last !== last))
      throw new UapiError('EINVAL', operation, { first, last })
  }
  /** @throws UapiError EBUSY: an emulated device may look at its memory at any time */
  mayInvalidate(wanted: boolean): void {
    if (wanted && this.#emulated.size > 0) throw new UapiError('EBUSY', 'VFIO_IOMMU_UNMAP_DMA')
  }
  #invalidate(mappings: readonly Mapping[]): void {
    if (mappings.some(({ vaddrInvalid }) => vaddrInvalid)) throw new UapiError('EINVAL', 'VFIO_IOMMU_UNMAP_DMA')
    for (const mapping of mappings) mapping.vaddrInvalid = true
  }

  #pinAndMap(mapping: Mapping, caller: Caller): void {
    mapping.pin(caller)
    const done: Domains['all'][number][] = []
    try {
      for (const shared of this.domains.all) {
        mapping.mapTo(shared.domain)
        done.push(shared)
      }
    } catch (error) {
      for (const { domain } of done) mapping.unmapFrom(domain)
      mapping.unpin()
      throw error
    }
  }
  #unmap(mapping: Mapping): void {
    for (const { domain } of this.domains.all) mapping.unmapFrom(domain)
    mapping.unpin()
  }
  #forgetAll(): void {
    for (const mapping of this.mappings.all.slice()) {
      this.#unmap(mapping)
      this.mappings.remove(mapping)
    }
  }
}
