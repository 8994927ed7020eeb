/** What one type1 container has mapped, and in which domains. drivers/vfio/vfio_iommu_type1.c. */
import { type Caller, type ContainerMember, mayFail, type PagingDomain, type Prot, UapiError } from '@ioasis/core'
import { VFIO_EXTENSION } from '@ioasis/uapi'
import { DirtyTracking } from './dirty-tracking.ts'
import { Domains } from './domains.ts'
import { type EmulatedMemory, EmulatedUsers } from './emulated-users.ts'
import { Mapping, type MappingRange } from './mapping.ts'
import { Mappings } from './mappings.ts'
import { MappingOwner } from './owner.ts'
import type { Type1Parameters } from './parameters.ts'

const { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL, VFIO_UPDATE_VADDR, VFIO_DMA_CC_IOMMU } = VFIO_EXTENSION
const U64_MAX = (1n << 64n) - 1n
/** Tries to have pages let go before it counts as a device's broken promise. */
const MOST_TRIES = 10

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

/** What a container of this kind is made of. */
export interface Type1Options {
  /** Of the kernel. */
  readonly pageBytes: number
  /** Version 2: an unmap may not cut a mapping. */
  readonly v2: boolean
  readonly parameters: Type1Parameters
  /** The container is gone. */
  readonly closed: () => void
}

/** One container's mappings. */
export class Type1 implements EmulatedMemory {
  readonly domains: Domains
  readonly mappings: Mappings = new Mappings()
  readonly dirty: DirtyTracking
  readonly pins: EmulatedUsers
  readonly v2: boolean
  readonly #emulated = new Set<ContainerMember>()
  readonly #closed: () => void
  readonly #parameters: Type1Parameters
  #available: number
  /** Whoever mapped last: nearly always the next one too. */
  #owner: MappingOwner | undefined
  /** Mappings of which the address was taken back. */
  #invalid = 0

  constructor({ pageBytes, v2, parameters, closed }: Type1Options) {
    this.domains = new Domains(pageBytes, parameters)
    this.dirty = new DirtyTracking(this.mappings, this.domains)
    this.pins = new EmulatedUsers(this, pageBytes)
    this.v2 = v2
    this.#closed = closed
    this.#parameters = parameters
    this.#available = parameters.mostMappings.limit
  }

  /** Mappings that can still be made: the limit is the one of when the back end was chosen. */
  get available(): number {
    return this.#available
  }
  /** Smallest page. */
  get pageBytes(): bigint {
    return this.domains.pageBytes
  }
  get changesAddresses(): boolean {
    return this.#invalid > 0
  }

  checkExtension(extension: number): number {
    if (extension === VFIO_UPDATE_VADDR) return this.#emulated.size === 0 ? 1 : 0
    if (extension === VFIO_DMA_CC_IOMMU) return this.domains.enforced ? 1 : 0
    return extension === VFIO_TYPE1_IOMMU || extension === VFIO_TYPE1v2_IOMMU || extension === VFIO_UNMAP_ALL ? 1 : 0
  }

  /** @throws UapiError EBUSY while addresses change, since memory may have to be pinned; as `Domains.attach` */
  attach(member: ContainerMember, caller: Caller): void {
    if (this.changesAddresses) throw new UapiError('EBUSY', 'vfio_iommu_type1_attach_group', { group: member.id })
    mayFail(caller, 'vfio_iommu_group')
    const { iommu } = member
    if (!iommu) {
      this.#emulated.add(member)
      return
    }
    const occupied = (first: bigint, last: bigint): boolean => this.mappings.find(first, last) !== undefined
    mayFail(caller, 'vfio_domain')
    this.domains.attach(iommu, occupied, (domain) => this.#replay(domain, caller))
    this.dirty.groupCame()
  }
  /** With the last group goes all that is mapped; with the last IOMMU what was pinned for it. */
  detach(member: ContainerMember): void {
    const { iommu } = member
    if (!iommu) {
      this.#emulated.delete(member)
      if (this.domains.all.length === 0 && this.#emulated.size === 0) this.#forgetAll()
      return
    }
    this.domains.detach(iommu, () => {
      if (this.#emulated.size === 0) this.#forgetAll()
      else for (const mapping of this.mappings.all) this.#unmap(mapping)
    })
    this.dirty.groupWent()
  }
  close(): void {
    this.#forgetAll()
    this.#closed()
  }

  /** @throws UapiError as vfio_dma_do_map() */
  map(caller: Caller, range: MappingRange, prot: Prot): void {
    const { iova, size } = range
    if (this.mappings.find(iova, iova + size - 1n)) throw new UapiError('EEXIST', 'VFIO_IOMMU_MAP_DMA', { iova, size })
    if (this.#available === 0) throw new UapiError('ENOSPC', 'VFIO_IOMMU_MAP_DMA', { iova, size })
    if (!this.domains.isValid(iova, iova + size - 1n))
      throw new UapiError('EINVAL', 'VFIO_IOMMU_MAP_DMA', { iova, size })
    mayFail(caller, 'vfio_dma')
    if (this.#owner?.is(caller) !== true) this.#owner = new MappingOwner(caller)
    const mapping = new Mapping(range, prot, this.#owner)
    if (this.domains.all.length > 0) this.#pinAndMap(mapping, caller)
    try {
      this.dirty.begins(mapping)
    } catch (error) {
      this.#unmap(mapping)
      throw error
    }
    this.mappings.add(mapping)
    this.#available--
  }
  /** @returns bytes that were mapped @throws UapiError as vfio_dma_do_unmap() */
  unmap(request: UnmapRequest): bigint {
    const { invalidateVaddr } = request
    const taken = this.#taken(request)
    const bytes = taken.reduce((sum, { size }) => sum + size, 0n)
    if (invalidateVaddr) this.#invalidate(taken)
    else {
      for (const mapping of taken) {
        this.#askBack(mapping)
        request.before?.(mapping)
        this.#remove(mapping)
      }
    }
    return bytes
  }
  /** VFIO_DMA_MAP_FLAG_VADDR. @throws UapiError ENOENT, EINVAL, ENOMEM as vfio_dma_do_map() */
  updateVaddr(caller: Caller, { iova, size, vaddr }: MappingRange): void {
    const what = 'VFIO_IOMMU_MAP_DMA'
    const mapping = this.mappings.find(iova, iova + size - 1n)
    if (!mapping) throw new UapiError('ENOENT', what, { iova })
    if (!mapping.vaddrInvalid || mapping.iova !== iova || mapping.size !== size)
      throw new UapiError('EINVAL', what, { iova, size })
    mapping.moveTo(caller, vaddr)
    this.#invalid--
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

  /** The mappings that an unmap names. @throws UapiError EINVAL when version 2 would have to cut one */
  #taken({ iova, size, all }: UnmapRequest): readonly Mapping[] {
    const last = all ? U64_MAX : iova + size - 1n
    const only = this.mappings.exact(iova, last)
    if (only) return [only]
    if (this.v2 && !all) this.mustNotCut(iova, last, 'VFIO_IOMMU_UNMAP_DMA')
    const hit = this.mappings.within(iova, last)
    // Version 1 takes whole mappings whose beginning was named, and stops at one that begins before.
    return this.v2 || !hit[0] || iova <= hit[0].iova ? hit : []
  }
  #invalidate(mappings: readonly Mapping[]): void {
    if (mappings.some(({ vaddrInvalid }) => vaddrInvalid)) throw new UapiError('EINVAL', 'VFIO_IOMMU_UNMAP_DMA')
    for (const mapping of mappings) mapping.vaddrInvalid = true
    this.#invalid += mappings.length
  }
  /** Emulated devices let go of their pages, as they promise. @throws Error when they do not */
  #askBack(mapping: Mapping): void {
    for (let tries = 0; mapping.heldPages > 0; tries++) {
      if (tries > MOST_TRIES) throw new Error(`an emulated device keeps pages at iova ${mapping.iova}`)
      this.pins.tellUnmapped(mapping.iova, mapping.size)
    }
  }
  /** Maps all there is into a new domain; what no domain had yet is pinned. vfio_iommu_replay */
  #replay(domain: PagingDomain, caller: Caller): void {
    const pinned: Mapping[] = []
    const mapped: Mapping[] = []
    try {
      for (const mapping of this.mappings.all) {
        const byPage = !mapping.pinned && this.#parameters.disableHugepages.enabled
        if (!mapping.pinned) {
          mapping.pin(caller)
          pinned.push(mapping)
        }
        mapping.mapTo(domain, byPage)
        mapped.push(mapping)
      }
    } catch (error) {
      for (const mapping of mapped) mapping.unmapFrom(domain)
      for (const mapping of pinned) mapping.unpin()
      throw error
    }
  }
  #pinAndMap(mapping: Mapping, caller: Caller): void {
    mapping.pin(caller)
    const done: Domains['all'][number][] = []
    try {
      for (const shared of this.domains.all) {
        mapping.mapTo(shared.domain, this.#parameters.disableHugepages.enabled)
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
  #remove(mapping: Mapping): void {
    this.#unmap(mapping)
    this.mappings.remove(mapping)
    this.#available++
    if (mapping.vaddrInvalid) this.#invalid--
  }
  #forgetAll(): void {
    for (const mapping of this.mappings.all) this.#remove(mapping)
  }
}
