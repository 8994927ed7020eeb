/** First stages on a mock domain: nothing but a small cache that invalidations clear. drivers/iommu/iommufd/selftest.c domain_nested_ops. */
import {
  type NestedDomain,
  type PagingDomain,
  UapiError,
  type UserData,
  type UserDataArray,
  type ViommuFrame,
} from '@ioasis/core'
import {
  CACHE_ENTRIES,
  HWPT_DATA_SELFTEST,
  HWPT_INVALIDATE,
  HWPT_INVALIDATE_SELFTEST,
  HWPT_SELFTEST,
  INVALIDATE_ALL,
} from '../spec/mock-data.ts'
import { HWPT_SELFTEST_MINIMUM } from './domain.ts'

/** What a device that is attached to a nested domain needs of the vIOMMU that the domain was made in. */
export interface AttachedViommu {
  /** Knows the device's id. */
  readonly frame: ViommuFrame
  /** An event of a device. @throws UapiError as `ViommuFrame.report` */
  report(virtId: bigint): void
}

/** A nested domain, on a parent or in a vIOMMU. */
export class MockNestedDomain implements NestedDomain {
  readonly type = 'nested'
  readonly parent: PagingDomain
  /** The vIOMMU it was made in: only devices that have an id there can be attached. */
  readonly viommu: AttachedViommu | undefined
  /** The cache. */
  readonly iotlb: Uint32Array
  answersPageRequests?: boolean

  /** @throws UapiError EOPNOTSUPP for data of another kind; EINVAL, EFAULT as `UserData.read` */
  constructor(parent: PagingDomain, data: UserData, viommu?: AttachedViommu) {
    if (data.type !== HWPT_DATA_SELFTEST) {
      throw new UapiError('EOPNOTSUPP', 'mock_domain_alloc_nested', { type: data.type })
    }
    const { iotlb } = data.read(HWPT_SELFTEST, HWPT_DATA_SELFTEST, HWPT_SELFTEST_MINIMUM)
    this.parent = parent
    this.viommu = viommu
    this.iotlb = new Uint32Array(CACHE_ENTRIES).fill(iotlb)
  }

  /** One entry at a time: those before a refused one have taken effect. */
  invalidate(entries: UserDataArray): void {
    const what = 'mock_domain_cache_invalidate_user'
    if (entries.type !== HWPT_INVALIDATE_SELFTEST) throw new UapiError('EINVAL', what, { type: entries.type })
    for (let i = 0; i < entries.count; i++) {
      const { flags, iotlb_id } = entries.read(HWPT_INVALIDATE, HWPT_INVALIDATE_SELFTEST, i)
      if ((flags & ~INVALIDATE_ALL) !== 0) throw new UapiError('EOPNOTSUPP', what, { flags })
      if (iotlb_id >= CACHE_ENTRIES) throw new UapiError('EINVAL', what, { iotlb_id })
      clearCache(this.iotlb, flags, iotlb_id)
      entries.done++
    }
  }
  free(): void {}
}

/** Clears one entry, or all. */
export function clearCache(cache: Uint32Array, flags: number, index: number): void {
  if ((flags & INVALIDATE_ALL) !== 0) cache.fill(0)
  else cache[index] = 0
}
