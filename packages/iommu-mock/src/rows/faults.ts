/** What mock devices tell: page requests, events, the contents of caches. drivers/iommu/iommufd/selftest.c. */
import { UapiError } from '@ioasis/core'
import { MockNestedDomain } from '../driver/nested-domain.ts'
import { CACHE_ENTRIES } from '../spec/mock-data.ts'
import * as uapi from '../spec/test-command.ts'
import { type AnyTestRow, testRow, type TestParts } from './test-row.ts'

/**
 * The rows. Where Linux takes any bound device for a mock one and looks into memory that is not its own, others are refused as
 * by TRIGGER_IOPF, which checks.
 */
export const faultRows = ({ mock }: TestParts): readonly AnyTestRow[] => [
  testRow({
    call: uapi.IOMMU_TEST_OP_TRIGGER_IOPF,
    run(objects, { dev_id, pasid, grpid, perm, addr }) {
      const { iommu } = objects.device(dev_id)
      mock.own(iommu).fault({ pasid, group: grpid, permissions: perm, iova: addr })
    },
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_TRIGGER_VEVENT,
    run: (objects, { dev_id }) => mock.own(objects.device(dev_id).iommu).reportEvent(),
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_DEV_CHECK_CACHE,
    run(objects, { id, cache_id, cache }) {
      const device = mock.own(objects.device(id).iommu)
      mustHold('IOMMU_TEST_OP_DEV_CHECK_CACHE', device.cache, cache_id, cache)
    },
  }),
  testRow({
    call: uapi.IOMMU_TEST_OP_MD_CHECK_IOTLB,
    run(objects, { id, iotlb_id, iotlb }) {
      const domain = objects.nestedDomain(id)
      const call = 'IOMMU_TEST_OP_MD_CHECK_IOTLB'
      if (!(domain instanceof MockNestedDomain)) throw new UapiError('EINVAL', call, { id })
      mustHold(call, domain.iotlb, iotlb_id, iotlb)
    },
  }),
]

/** @throws UapiError EINVAL when an entry holds something else, or there is none */
function mustHold(call: string, cache: Uint32Array, index: number, value: number): void {
  if (index >= CACHE_ENTRIES || cache[index] !== value) throw new UapiError('EINVAL', call, { index, value })
}
