/** Fault queues: include/uapi/linux/iommufd.h. */
import { choice, type CStruct, flags, type IoctlCall, struct, u32, u64 } from '@ioasis/core'
import { iommufdCall } from './number.ts'

/** `struct iommu_fault_alloc`. */
export interface IommuFaultAlloc {
  readonly size: number
  readonly flags: number
  readonly out_fault_id: number
  readonly out_fault_fd: number
}
const iommuFaultAlloc: CStruct<IommuFaultAlloc> = struct('iommu_fault_alloc', {
  size: u32,
  flags: u32,
  out_fault_id: u32,
  out_fault_fd: u32,
})
export const IOMMU_FAULT_QUEUE_ALLOC: IoctlCall<IommuFaultAlloc> = iommufdCall(
  'IOMMU_FAULT_QUEUE_ALLOC',
  0x8e,
  iommuFaultAlloc,
  'out_fault_fd',
)

/** `flags` of a fault record. */
export const PGFAULT_FLAG = { PASID_VALID: 1, LAST_PAGE: 2 } as const
/** `perm` of a fault record. */
export const PGFAULT_PERM = { READ: 1, WRITE: 2, EXEC: 4, PRIV: 8 } as const

/** `struct iommu_hwpt_pgfault`. */
export interface IommuHwptPgfault {
  readonly flags: number
  readonly dev_id: number
  readonly pasid: number
  /** Page request group index. */
  readonly grpid: number
  readonly perm: number
  readonly __reserved: number
  /** iova. */
  readonly addr: bigint
  readonly length: number
  /** Names the group in its answer. */
  readonly cookie: number
}
/** What a fault queue's read returns, one for each page request of a group. */
export const HWPT_PGFAULT: CStruct<IommuHwptPgfault> = struct('iommu_hwpt_pgfault', {
  flags: flags(u32, PGFAULT_FLAG),
  dev_id: u32,
  pasid: u32,
  grpid: u32,
  perm: flags(u32, PGFAULT_PERM),
  __reserved: u32,
  addr: u64,
  length: u32,
  cookie: u32,
})

/** `code` of an answer. */
export const PAGE_RESPONSE = { SUCCESS: 0, INVALID: 1 } as const

/** `struct iommu_hwpt_page_response`. */
export interface IommuHwptPageResponse {
  readonly cookie: number
  readonly code: number
}
/** What is written to a fault queue, one for each group. */
export const HWPT_PAGE_RESPONSE: CStruct<IommuHwptPageResponse> = struct('iommu_hwpt_page_response', {
  cookie: u32,
  code: choice(u32, PAGE_RESPONSE),
})
