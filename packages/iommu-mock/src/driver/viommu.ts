/** A slice of the mock for a guest. drivers/iommu/iommufd/selftest.c mock_viommu_ops. */
import {
  type Cpu,
  type Hpa,
  type HwQueue,
  type HwQueueHooks,
  type NestedDomain,
  type PagingDomain,
  RegionPages,
  UapiError,
  type UserData,
  type UserDataArray,
  type Viommu,
  type ViommuDevice,
  type ViommuFrame,
  type ViommuSupport,
} from '@ioasis/core'
import type { TablePages } from '@ioasis/page-table'
import {
  CACHE_ENTRIES,
  HW_QUEUE_TYPE_SELFTEST,
  HW_QUEUES,
  INVALIDATE_ALL,
  VEVENTQ_TYPE_SELFTEST,
  VIOMMU_EVENT,
  VIOMMU_INVALIDATE,
  VIOMMU_INVALIDATE_SELFTEST,
  VIOMMU_SELFTEST,
  VIOMMU_TYPE_SELFTEST,
} from '../spec/mock-data.ts'
import { type AttachedViommu, clearCache, MockNestedDomain } from './nested-domain.ts'

/** What a vIOMMU needs of the host. */
export interface ViommuParts {
  readonly cpu: Cpu
  readonly pages: TablePages
  readonly pageBytes: number
  /** The cache of a device that this driver serves. */
  cacheOf(device: ViommuDevice): Uint32Array
}

/** Shortest data for a vIOMMU: `in_data` and `out_data`. */
const MINIMUM = 8

/** Memory that user space maps through the iommufd. */
interface SharedRoom {
  readonly hpa: Hpa
  readonly bytes: number
  readonly offset: bigint
}

/** One vIOMMU. */
export class MockViommu implements Viommu, AttachedViommu {
  readonly frame: ViommuFrame
  readonly hwQueues: NonNullable<Viommu['hwQueues']>
  readonly #parts: ViommuParts
  readonly #parent: PagingDomain
  readonly #queues: (HwQueue | undefined)[] = Array.from({ length: HW_QUEUES })
  readonly #room: SharedRoom | undefined

  /** @throws UapiError EINVAL, EFAULT as `UserData.read` and `UserData.write`; ENOMEM */
  constructor(parts: ViommuParts, frame: ViommuFrame, parent: PagingDomain, data: UserData | undefined) {
    this.#parts = parts
    this.frame = frame
    this.#parent = parent
    this.#room = data && this.#share(data)
    this.hwQueues = {
      has: (type) => type === HW_QUEUE_TYPE_SELFTEST,
      init: (queue, index, hpa) => this.#initQueue(queue, index, hpa),
    }
  }

  allocNested(data: UserData): NestedDomain {
    return new MockNestedDomain(this.#parent, data, this)
  }
  /** All entries are read before the first takes effect. None at all is a question whether the type is known. */
  invalidate(entries: UserDataArray): void {
    const what = 'mock_viommu_cache_invalidate'
    if (entries.count === 0 && entries.type === VIOMMU_INVALIDATE_SELFTEST) return
    for (const { flags, vdev_id, cache_id } of entries.readAll(VIOMMU_INVALIDATE, VIOMMU_INVALIDATE_SELFTEST)) {
      if ((flags & ~INVALIDATE_ALL) !== 0) throw new UapiError('EOPNOTSUPP', what, { flags })
      if (cache_id >= CACHE_ENTRIES) throw new UapiError('EINVAL', what, { cache_id })
      const device = this.frame.deviceOf(BigInt(vdev_id))
      if (!device) throw new UapiError('EINVAL', what, { vdev_id })
      clearCache(this.#parts.cacheOf(device), flags, cache_id)
      entries.done++
    }
  }
  report(virtId: bigint): void {
    const event = VIOMMU_EVENT.make({ virt_id: Number(virtId & 0xffff_ffffn) })
    this.frame.report(VEVENTQ_TYPE_SELFTEST, event)
  }
  destroy(): void {
    if (!this.#room) return
    this.frame.destroyMmap(this.#room.offset)
    this.#parts.pages.free(this.#room.hpa, this.#room.bytes)
  }

  /** Two pages, of which the first begins with what user space passed; it is told where to map them. */
  #share(data: UserData): SharedRoom {
    const { cpu, pages, pageBytes } = this.#parts
    const { in_data } = data.read(VIOMMU_SELFTEST, VIOMMU_TYPE_SELFTEST, MINIMUM)
    const bytes = 2 * pageBytes
    const hpa = pages.alloc(bytes, 'mock vIOMMU')
    let offset: bigint | undefined
    try {
      const object = new RegionPages({ name: 'mock vIOMMU', first: hpa, bytes, pageBytes, pinnable: false })
      offset = this.frame.allocMmap({ kind: 'pages', object, firstPage: 0 }, bytes)
      cpu.store(hpa, 4, BigInt(in_data))
      const answer = { in_data, out_data: in_data, out_mmap_offset: offset, out_mmap_length: BigInt(bytes) }
      data.write(VIOMMU_SELFTEST, answer, VIOMMU_TYPE_SELFTEST, MINIMUM)
      return { hpa, bytes, offset }
    } catch (error) {
      if (offset !== undefined) this.frame.destroyMmap(offset)
      pages.free(hpa, bytes)
      throw error
    }
  }
  /** Queues are made in the order of their index, and go in the reverse one. */
  #initQueue(queue: HwQueue, index: number, hpa: Hpa): HwQueueHooks {
    const refuse = (errno: 'EINVAL' | 'EEXIST' | 'EIO' | 'EFAULT'): UapiError =>
      new UapiError(errno, 'mock_hw_queue_init_phys', { index, base: queue.base })
    if (index >= HW_QUEUES) throw refuse('EINVAL')
    if (this.#queues[index]) throw refuse('EEXIST')
    const before = index > 0 ? this.#queues[index - 1] : undefined
    if (index > 0 && !before) throw refuse('EIO')
    if (hpa !== this.#parent.lookup(queue.base)) throw refuse('EFAULT')
    if (before) queue.depend(before)
    this.#queues[index] = queue
    return {
      destroy: () => {
        this.#queues[index] = undefined
        if (before) queue.undepend(before)
      },
    }
  }
}

/** What every device of the mock offers. */
export const viommuSupport = (parts: ViommuParts): ViommuSupport => ({
  has: (type) => type === VIOMMU_TYPE_SELFTEST,
  alloc: (frame, parent, data) => new MockViommu(parts, frame, parent, data),
})
