/**
 * IOMMU_TEST and its sub-operations: drivers/iommu/iommufd/iommufd_test.h of Linux 7.2. Data only. The kernel's struct holds a
 * union; here each of its arms is a struct of its own, all of the same size.
 */
import {
  _IO,
  array,
  type CStruct,
  type IoctlCall,
  ioctlCall,
  type Member,
  s32,
  struct,
  type StructLayout,
  u32,
  u64,
} from '@ioasis/core'

/** enum of sub-operations. */
export const TEST_OP = {
  ADD_RESERVED: 1,
  MOCK_DOMAIN: 2,
  MD_CHECK_MAP: 3,
  MD_CHECK_REFS: 4,
  CREATE_ACCESS: 5,
  DESTROY_ACCESS_PAGES: 6,
  ACCESS_PAGES: 7,
  ACCESS_RW: 8,
  SET_TEMP_MEMORY_LIMIT: 9,
  MOCK_DOMAIN_REPLACE: 10,
  ACCESS_REPLACE_IOAS: 11,
  MOCK_DOMAIN_FLAGS: 12,
  DIRTY: 13,
  MD_CHECK_IOTLB: 14,
  TRIGGER_IOPF: 15,
  DEV_CHECK_CACHE: 16,
  TRIGGER_VEVENT: 17,
  PASID_ATTACH: 18,
  PASID_REPLACE: 19,
  PASID_DETACH: 20,
  PASID_CHECK_HWPT: 21,
  DMABUF_GET: 22,
  DMABUF_REVOKE: 23,
} as const

/** Flags of ACCESS_PAGES. SYZ also of ACCESS_RW: the iova names an area by its number, and an offset in it. */
export const ACCESS_FLAG = { WRITE: 1, SYZ: 0x1_0000 } as const
/** Flags of ACCESS_RW. */
export const RW_FLAG = { WRITE: 1, SLOW_PATH: 4 } as const
/** Flag of CREATE_ACCESS: the access pins. */
export const CREATE_ACCESS_FLAG = { NEEDS_PIN_PAGES: 1 } as const
/** Flags of a mock device (MOCK_DOMAIN_FLAGS). */
export const DEVICE_FLAG = { NO_DIRTY: 1, PASID: 4 } as const
/** The second attach in a row for this PASID fails with ENOMEM. */
export const PASID_RESERVED = 1024

const HEAD = { size: u32, op: u32, id: u32, __reserved: u32 } as const
interface Head {
  readonly size: number
  readonly op: number
  readonly id: number
  readonly __reserved: number
}
/** Bytes of the union, and of the whole struct. */
const UNION = 48
const SIZE = 72

/** Behind the arm: what is left of the union, and `last`, which nobody reads. */
const rest = (size: number): Member<unknown> => ({ size, align: 1, read: () => undefined, write: () => undefined })

type Arm = Readonly<Record<string, Member<unknown>>>
type ArmOf<F> = { readonly [K in keyof F]: F[K] extends Member<infer T> ? T : never }

/** A sub-operation as a call: its struct has `op` set unless the program says otherwise. */
export interface TestCall<T> extends IoctlCall<T> {
  readonly op: number
}

const NUMBER = _IO(';', 0x80 + 32)
/** Offset of `last`: what lies before it must be passed. */
const MINIMUM = 68

function testCall<const F extends Arm>(name: keyof typeof TEST_OP, arm: F): TestCall<Head & ArmOf<F>> {
  const op = TEST_OP[name]
  const members = { ...HEAD, ...arm }
  const used = struct(name, members)
  // The arm begins at byte 16 whatever it holds: it is aligned to 8.
  const whole = struct('iommu_test_cmd', {
    ...members,
    $rest: rest(SIZE - endOf(used as unknown as StructLayout<unknown>)),
  })
  type T = Head & ArmOf<F>
  const withOp = (values: Partial<T>): Partial<T> => ({ op, ...values })
  const made: CStruct<T> = {
    ...(whole as unknown as CStruct<T>),
    fields: (whole as unknown as CStruct<T>).fields.filter((field) => !field.name.startsWith('$')),
    encode: (values, into) => whole.encode(withOp(values), into),
    write: (into, at, values) => whole.write(into, at, withOp(values) as never),
    make: (values, extra) => whole.make(withOp(values), extra),
  }
  return { ...ioctlCall(`IOMMU_TEST_OP_${name}`, NUMBER, made, MINIMUM), op }
}

/** First byte behind the last member. */
const endOf = ({ fields }: StructLayout<unknown>): number => {
  const last = fields.at(-1)
  return last ? last.offset + last.size : 0
}

/** The whole call as the kernel dispatches it: the union as words. */
export interface IommuTestCmd extends Head {
  readonly arm: readonly bigint[]
  readonly last: number
}
/** IOMMU_TEST itself; `TEST_CALLS` name its sub-operations. */
export const IOMMU_TEST_CMD: IoctlCall<IommuTestCmd> = ioctlCall(
  'IOMMU_TEST_CMD',
  NUMBER,
  struct('iommu_test_cmd', { ...HEAD, arm: array(u64, UNION / 8), last: u32 }),
  MINIMUM,
)

const mockDomain = { out_stdev_id: u32, out_hwpt_id: u32, out_idev_id: u32 } as const

/** Reserves a range of an IOAS. `id`: the IOAS. */
export const IOMMU_TEST_OP_ADD_RESERVED: TestCall<Head & { start: bigint; length: bigint }> = testCall('ADD_RESERVED', {
  start: u64,
  length: u64,
})
/** What MOCK_DOMAIN answers. */
export interface MockDomain extends Head {
  readonly out_stdev_id: number
  readonly out_hwpt_id: number
  readonly out_idev_id: number
}
/** Makes a mock device, binds it and attaches it. `id`: an IOAS or a HWPT. */
export const IOMMU_TEST_OP_MOCK_DOMAIN: TestCall<MockDomain> = testCall('MOCK_DOMAIN', mockDomain)
/** The same with `DEVICE_FLAG`s. */
export const IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS: TestCall<MockDomain & { dev_flags: number }> = testCall(
  'MOCK_DOMAIN_FLAGS',
  { ...mockDomain, dev_flags: u32 },
)
/** Moves a mock device. `id`: its stdev. */
export const IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: TestCall<Head & { pt_id: number }> = testCall('MOCK_DOMAIN_REPLACE', {
  pt_id: u32,
})
/** A range of user memory, and of iovas. */
export interface TestRange extends Head {
  readonly iova: bigint
  readonly length: bigint
  readonly uptr: bigint
}
/** Compares what a domain maps with what a user address shows. `id`: the HWPT. */
export const IOMMU_TEST_OP_MD_CHECK_MAP: TestCall<TestRange> = testCall('MD_CHECK_MAP', {
  iova: u64,
  length: u64,
  uptr: u64,
})
/** Compares how often pages are pinned. */
export const IOMMU_TEST_OP_MD_CHECK_REFS: TestCall<Head & { length: bigint; uptr: bigint; refs: number }> = testCall(
  'MD_CHECK_REFS',
  { length: u64, uptr: u64, refs: u32 },
)
/** Makes an in-kernel access, for which a descriptor stands. `id`: the IOAS. */
export const IOMMU_TEST_OP_CREATE_ACCESS: TestCall<Head & { out_access_fd: number; flags: number }> = testCall(
  'CREATE_ACCESS',
  { out_access_fd: u32, flags: u32 },
)
/** Lets go of what ACCESS_PAGES pinned. `id`: the access. */
export const IOMMU_TEST_OP_DESTROY_ACCESS_PAGES: TestCall<Head & { access_pages_id: number }> = testCall(
  'DESTROY_ACCESS_PAGES',
  { access_pages_id: u32 },
)
/** Pins pages through an access. `id`: its descriptor. */
export const IOMMU_TEST_OP_ACCESS_PAGES: TestCall<TestRange & { flags: number; out_access_pages_id: number }> =
  testCall('ACCESS_PAGES', { flags: u32, out_access_pages_id: u32, iova: u64, length: u64, uptr: u64 })
/** Reads or writes through an access. `id`: its descriptor. */
export const IOMMU_TEST_OP_ACCESS_RW: TestCall<TestRange & { flags: number }> = testCall('ACCESS_RW', {
  iova: u64,
  length: u64,
  uptr: u64,
  flags: u32,
})
/** How much memory iommufd may take for a moment. */
export const IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT: TestCall<Head & { limit: number }> = testCall(
  'SET_TEMP_MEMORY_LIMIT',
  { limit: u32 },
)
/** Moves an access. `id`: its descriptor. */
export const IOMMU_TEST_OP_ACCESS_REPLACE_IOAS: TestCall<Head & { ioas_id: number }> = testCall('ACCESS_REPLACE_IOAS', {
  ioas_id: u32,
})
/** What DIRTY takes. */
export interface TestDirty extends Head {
  readonly flags: number
  readonly iova: bigint
  readonly length: bigint
  readonly page_size: bigint
  readonly uptr: bigint
  readonly out_nr_dirty: bigint
}
/** Marks pages dirty, as hardware would. `id`: the HWPT. */
export const IOMMU_TEST_OP_DIRTY: TestCall<TestDirty> = testCall('DIRTY', {
  flags: u32,
  iova: u64,
  length: u64,
  page_size: u64,
  uptr: u64,
  out_nr_dirty: u64,
})
/** Compares a cache entry of a nested domain. `id`: the HWPT. */
export const IOMMU_TEST_OP_MD_CHECK_IOTLB: TestCall<Head & { iotlb_id: number; iotlb: number }> = testCall(
  'MD_CHECK_IOTLB',
  { iotlb_id: u32, iotlb: u32 },
)
/** What TRIGGER_IOPF takes. */
export interface TestFault extends Head {
  readonly dev_id: number
  readonly pasid: number
  readonly grpid: number
  readonly perm: number
  readonly addr: bigint
}
/** A page request of a bound mock device. */
export const IOMMU_TEST_OP_TRIGGER_IOPF: TestCall<TestFault> = testCall('TRIGGER_IOPF', {
  dev_id: u32,
  pasid: u32,
  grpid: u32,
  perm: u32,
  addr: u64,
})
/** Compares a cache entry of a mock device. `id`: the bound device. */
export const IOMMU_TEST_OP_DEV_CHECK_CACHE: TestCall<Head & { cache_id: number; cache: number }> = testCall(
  'DEV_CHECK_CACHE',
  { cache_id: u32, cache: u32 },
)
/** An event of a mock device for its vIOMMU. */
export const IOMMU_TEST_OP_TRIGGER_VEVENT: TestCall<Head & { dev_id: number }> = testCall('TRIGGER_VEVENT', {
  dev_id: u32,
})
/** Attaches for a PASID. `id`: the stdev. */
export const IOMMU_TEST_OP_PASID_ATTACH: TestCall<Head & { pasid: number; pt_id: number }> = testCall('PASID_ATTACH', {
  pasid: u32,
  pt_id: u32,
})
/** Moves what is attached for a PASID. `id`: the stdev. */
export const IOMMU_TEST_OP_PASID_REPLACE: TestCall<Head & { pasid: number; pt_id: number }> = testCall(
  'PASID_REPLACE',
  { pasid: u32, pt_id: u32 },
)
/** Detaches for a PASID. `id`: the stdev. */
export const IOMMU_TEST_OP_PASID_DETACH: TestCall<Head & { pasid: number; pt_id: number }> = testCall('PASID_DETACH', {
  pasid: u32,
  /** Not the kernel's: what stands there is not looked at. */
  pt_id: u32,
})
/** Compares what is attached for a PASID; 0: nothing. `id`: the stdev. */
export const IOMMU_TEST_OP_PASID_CHECK_HWPT: TestCall<Head & { pasid: number; hwpt_id: number }> = testCall(
  'PASID_CHECK_HWPT',
  { pasid: u32, hwpt_id: u32 },
)
/** Makes a dma-buf of kernel memory. Returns its descriptor. */
export const IOMMU_TEST_OP_DMABUF_GET: TestCall<Head & { length: number; open_flags: number }> = testCall(
  'DMABUF_GET',
  { length: u32, open_flags: u32 },
)
/** Takes such a dma-buf back, or gives it again. */
export const IOMMU_TEST_OP_DMABUF_REVOKE: TestCall<Head & { dmabuf_fd: number; revoked: number }> = testCall(
  'DMABUF_REVOKE',
  { dmabuf_fd: s32, revoked: u32 },
)
