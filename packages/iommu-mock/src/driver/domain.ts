/** Paging domains of the mock. drivers/iommu/iommufd/selftest.c mock_domain_alloc_paging_flags, mock_domain_set_dirty_tracking. */
import {
  type Claim,
  type DirtySink,
  type FlushGather,
  type Hpa,
  type Iova,
  type IovaRange,
  type PageRuns,
  type PagingDomain,
  type PagingOptions,
  type Prot,
  UapiError,
} from '@ioasis/core'
import { PageTable, type TableMemory } from '@ioasis/page-table'
import { DEFAULT_GEOMETRY, hugeGeometry, mockFormat } from '../spec/format.ts'
import { HWPT_DATA_NONE, HWPT_DATA_SELFTEST, HWPT_SELFTEST, PAGE_TABLE } from '../spec/mock-data.ts'

/** Shortest data for a domain: `iotlb`. */
export const HWPT_SELFTEST_MINIMUM = 4

/** What a domain needs of its driver. */
export interface DomainParts {
  readonly memory: TableMemory
  readonly pageBytes: number
  /** Its device takes domains that record writes. */
  readonly canTrack: boolean
  /** Told when it is gone. */
  readonly freed: (domain: MockDomain) => void
  /** Told when it begins or ends to record writes. */
  readonly tracked: (domain: MockDomain) => void
}

/** A page table of 2 KiB pages. Nothing caches what stands in it: there is nothing to flush. */
export class MockDomain implements PagingDomain {
  readonly type = 'paging'
  readonly aperture: IovaRange
  readonly pageSizes: bigint
  readonly dirty?: NonNullable<PagingDomain['dirty']>
  answersPageRequests?: boolean
  /** Devices and PASIDs attached. */
  attached = 0
  readonly #table: PageTable
  readonly #freed: (domain: MockDomain) => void
  #tracking = false

  /** @param kind `PAGE_TABLE` @throws UapiError ENOMEM */
  constructor({ memory, pageBytes, freed, tracked }: DomainParts, kind: number, tracksDirty: boolean) {
    const { table, pageSizes, aperture } = kind === PAGE_TABLE.HUGE ? hugeGeometry(pageBytes) : DEFAULT_GEOMETRY
    this.#table = new PageTable(mockFormat, table, memory)
    this.#freed = freed
    this.pageSizes = pageSizes
    this.aperture = aperture
    if (!tracksDirty) return
    this.dirty = {
      set: (on) => {
        this.#tracking = on
        tracked(this)
      },
      read: (...args) => this.#readDirty(...args),
    }
  }

  /** Where the table lies. */
  get root(): Hpa {
    return this.#table.root
  }
  /** Writes are recorded. */
  get tracking(): boolean {
    return this.#tracking
  }
  map(iova: Iova, runs: PageRuns, prot: Prot): void {
    this.#table.map(iova, runs, prot)
  }
  unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    return this.#table.unmap(iova, bytes, gather)
  }
  sync(gather: FlushGather): void {
    this.#table.release(gather)
  }
  lookup(iova: Iova): Hpa | undefined {
    return this.#table.lookup(iova)
  }
  free(): void {
    if (this.attached > 0) throw new Error('iommu-mock: a domain is freed while it is attached')
    this.#table.free()
    this.#freed(this)
  }
  /** What it maps, for the audit. @param unit and requester's tag where it is attached */
  claims(near: IovaRange | undefined, unit: string, tag: number, into: Claim[]): void {
    this.#table.leaves((iova, bytes, hpa, write) => {
      into.push({ kind: 'mapped', domain: this, unit, tag, iova, bytes, hpa, write })
    }, near)
  }

  #readDirty(range: IovaRange, sink: DirtySink, how: { readonly clear: boolean; readonly gather: FlushGather }): void {
    this.#table.readDirty(range, sink, how.clear ? how.gather : undefined)
  }
}

/**
 * Makes a domain as the options want it.
 * @throws UapiError EOPNOTSUPP for dirty tracking without support, for data of another kind, for a page table there is not;
 * EINVAL, EFAULT as `UserData.read`; ENOMEM
 */
export function allocDomain(parts: DomainParts, { dirtyTracking = false, data }: PagingOptions): MockDomain {
  const call = 'mock_domain_alloc_paging_flags'
  if (dirtyTracking && !parts.canTrack) throw new UapiError('EOPNOTSUPP', call, { dirtyTracking: 1 })
  if (data && data.type !== HWPT_DATA_SELFTEST && data.type !== HWPT_DATA_NONE) {
    throw new UapiError('EOPNOTSUPP', call, { type: data.type })
  }
  const { pagetable_type: kind = PAGE_TABLE.DEFAULT } =
    data?.read(HWPT_SELFTEST, HWPT_DATA_SELFTEST, HWPT_SELFTEST_MINIMUM) ?? {}
  if (kind !== PAGE_TABLE.DEFAULT && kind !== PAGE_TABLE.HUGE) {
    throw new UapiError('EOPNOTSUPP', call, { pagetable_type: kind })
  }
  return new MockDomain(parts, kind, dirtyTracking)
}
