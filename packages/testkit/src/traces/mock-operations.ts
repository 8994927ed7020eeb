/**
 * `MOCK_*` operations of scripts: sub-operations of IOMMU_TEST, each under the names that scripts give it
 * (drivers/iommu/iommufd/iommufd_test.h). Structs come from the tables of the host, as calls of their own.
 */
import { type IoctlOperation, structOperation } from './ioctl-operation.ts'

type More = Parameters<typeof structOperation>[2]

/** A sub-operation. @param name behind `IOMMU_TEST_OP_`: also what scripts may call it, behind `MOCK_` */
function mock(name: string, op: number, inputs: string, outputs = '', more: More = {}): IoctlOperation {
  const call = `IOMMU_TEST_OP_${name}`
  return structOperation(`size op id __reserved ${inputs}`, outputs, { call, preset: { op }, ...more })
}

const DOMAIN = 'out_stdev_id out_hwpt_id out_idev_id'
const ACCESS: More = { descriptors: ['id'] }
const UPTR: More = { pointers: ['uptr'], payload: { pointer: 'uptr' }, reads: 'data' }

const ADD_RESERVED = mock('ADD_RESERVED', 1, 'start length')
const MOCK_DOMAIN = mock('MOCK_DOMAIN', 2, '', DOMAIN)
const CHECK_MAP = mock('MD_CHECK_MAP', 3, 'iova length uptr', '', { pointers: ['uptr'] })
const CHECK_REFS = mock('MD_CHECK_REFS', 4, 'length uptr refs', '', { pointers: ['uptr'] })
const CREATE_ACCESS = mock('CREATE_ACCESS', 5, 'flags', 'out_access_fd', { descriptors: ['out_access_fd'] })
const DESTROY_ACCESS_PAGES = mock('DESTROY_ACCESS_PAGES', 6, 'access_pages_id', '', ACCESS)
const ACCESS_PAGES = mock('ACCESS_PAGES', 7, 'flags iova length uptr', 'out_access_pages_id', {
  ...ACCESS,
  pointers: ['uptr'],
})
const ACCESS_RW = mock('ACCESS_RW', 8, 'iova length uptr flags', '', { ...ACCESS, ...UPTR })
const MEMORY_LIMIT = mock('SET_TEMP_MEMORY_LIMIT', 9, 'limit')
const REPLACE = mock('MOCK_DOMAIN_REPLACE', 10, 'pt_id')
const ACCESS_REPLACE_IOAS = mock('ACCESS_REPLACE_IOAS', 11, 'ioas_id', '', ACCESS)
const DOMAIN_FLAGS = mock('MOCK_DOMAIN_FLAGS', 12, 'dev_flags', DOMAIN)
const DIRTY = mock('DIRTY', 13, 'flags iova length page_size uptr', 'out_nr_dirty', UPTR)
const CHECK_IOTLB = mock('MD_CHECK_IOTLB', 14, 'iotlb_id iotlb', '', {
  // Scripts may call the entries of both caches alike.
  otherNames: { iotlb_id: ['cache_id'], iotlb: ['cache'] },
})
const TRIGGER_IOPF = mock('TRIGGER_IOPF', 15, 'dev_id pasid grpid perm addr')
const CHECK_CACHE = mock('DEV_CHECK_CACHE', 16, 'cache_id cache')
const TRIGGER_VEVENT = mock('TRIGGER_VEVENT', 17, 'dev_id')
const PASID_ATTACH = mock('PASID_ATTACH', 18, 'pasid pt_id')
const PASID_REPLACE = mock('PASID_REPLACE', 19, 'pasid pt_id')
const PASID_DETACH = mock('PASID_DETACH', 20, 'pasid pt_id')
const PASID_CHECK = mock('PASID_CHECK_HWPT', 21, 'pasid pt_id', '', { otherNames: { pt_id: ['hwpt_id'] } })
const DMABUF_GET = mock('DMABUF_GET', 22, 'length open_flags', '', { returnsDescriptor: true })
const DMABUF_REVOKE = mock('DMABUF_REVOKE', 23, 'dmabuf_fd revoked', '', { descriptors: ['dmabuf_fd'] })

/** Keyed by the name in scripts. Recordings use the short ones; the long ones are the kernel's. */
export const MOCK_OPERATIONS: Readonly<Record<string, IoctlOperation>> = {
  MOCK_ADD_RESERVED: ADD_RESERVED,
  MOCK_DOMAIN,
  MOCK_CHECK_MAP: CHECK_MAP,
  MOCK_MD_CHECK_MAP: CHECK_MAP,
  MOCK_CHECK_REFS: CHECK_REFS,
  MOCK_MD_CHECK_REFS: CHECK_REFS,
  MOCK_CREATE_ACCESS: CREATE_ACCESS,
  MOCK_DESTROY_ACCESS_PAGES: DESTROY_ACCESS_PAGES,
  MOCK_ACCESS_PAGES: ACCESS_PAGES,
  MOCK_ACCESS_RW: ACCESS_RW,
  MOCK_MEMORY_LIMIT: MEMORY_LIMIT,
  MOCK_SET_TEMP_MEMORY_LIMIT: MEMORY_LIMIT,
  MOCK_REPLACE: REPLACE,
  MOCK_DOMAIN_REPLACE: REPLACE,
  MOCK_ACCESS_REPLACE: ACCESS_REPLACE_IOAS,
  MOCK_ACCESS_REPLACE_IOAS: ACCESS_REPLACE_IOAS,
  MOCK_DOMAIN_FLAGS: DOMAIN_FLAGS,
  MOCK_DIRTY: DIRTY,
  MOCK_CHECK_IOTLB: CHECK_IOTLB,
  MOCK_MD_CHECK_IOTLB: CHECK_IOTLB,
  MOCK_TRIGGER_IOPF: TRIGGER_IOPF,
  MOCK_CHECK_CACHE: CHECK_CACHE,
  MOCK_DEV_CHECK_CACHE: CHECK_CACHE,
  MOCK_TRIGGER_VEVENT: TRIGGER_VEVENT,
  MOCK_PASID_ATTACH: PASID_ATTACH,
  MOCK_PASID_REPLACE: PASID_REPLACE,
  MOCK_PASID_DETACH: PASID_DETACH,
  MOCK_PASID_CHECK: PASID_CHECK,
  MOCK_PASID_CHECK_HWPT: PASID_CHECK,
  MOCK_DMABUF_GET: DMABUF_GET,
  MOCK_DMABUF_REVOKE: DMABUF_REVOKE,
}

/** Members that traces call otherwise than the structs. */
export const MOCK_MEMBER_NAMES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  IOMMU_TEST_OP_PASID_CHECK_HWPT: { pt_id: ['hwpt_id'] },
}
