// oxlint-disable vitest/no-standalone-expect -- verbs of tests
/** A program at /dev/iommu of a kernel built for tests: what tools/testing/selftests/iommu does, as verbs. */
import {
  Client,
  createHost,
  type Host,
  type IoctlCall,
  Pages,
  Processes,
  UapiError,
  type Uva,
  UserFrames,
} from '@ioasis/core'
import * as mock from '@ioasis/iommu-mock'
import * as iommufd from '@ioasis/iommufd'
import { mustBeSound } from '@ioasis/testkit'
import { expect } from 'vitest'

/** First iova of a mock domain. */
export const START = 0x100_0000n
export const PAGE = 4096n
/** IOMMU_IOAS_MAP: at this iova, for reading and writing. */
const FIXED_RW = 7

/** How a call ended: `ok`, or the errno. */
export function ending(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof UapiError) return error.errno
    throw error
  }
  return 'ok'
}

/** A mock device with its ids. */
export interface Made {
  readonly stdev: number
  readonly hwpt: number
  readonly idev: number
}
/** Data of a driver's own kind. */
export interface DriverData {
  readonly type: number
  readonly bytes: Uint8Array
}
/** Data of a nested mock domain. */
export const selftestData = (pagetable_type = 0): DriverData => ({
  type: mock.HWPT_DATA_SELFTEST,
  bytes: mock.HWPT_SELFTEST.make({ iotlb: mock.IOTLB_DEFAULT, pagetable_type }),
})

/** One host, one program, one context. */
export class MockBench implements Disposable {
  readonly host: Host
  readonly vmm: Client
  readonly fd: number
  readonly ioas: number
  readonly #free: number

  /** @param pageSize of the CPU */
  constructor(pageSize = 4096) {
    this.host = createHost({
      machine: { ram: 1 << 30, scattered: true },
      kernel: { test: true, pageSize },
      plugins: [iommufd.iommufd(), mock.iommuMock()],
    })
    this.#free = this.host.get(Pages).allocated
    this.vmm = new Client(this.host, this.host.get(Processes).spawn())
    this.fd = this.vmm.open('/dev/iommu')
    this.ioas = this.newIoas()
  }
  newIoas(): number {
    return this.call(iommufd.IOMMU_IOAS_ALLOC).out_ioas_id
  }
  /** Any call on the context. */
  call<T>(call: IoctlCall<T>, values: Partial<T> = {}): T {
    return this.vmm.ioctl(this.fd, call, values)
  }
  /** A call whose answer is what it returns. */
  ret<T>(call: IoctlCall<T>, values: Partial<T>): number {
    return this.vmm.ioctlRet(this.fd, call, values)
  }
  device(target = this.ioas, dev_flags = 0): Made {
    const made = this.call(mock.IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, { id: target, dev_flags })
    return { stdev: made.out_stdev_id, hwpt: made.out_hwpt_id, idev: made.out_idev_id }
  }
  replace(stdev: number, pt_id: number): number {
    return this.call(mock.IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, { id: stdev, pt_id }).pt_id
  }
  hwpt(dev_id: number, pt_id: number, flags = 0, data?: DriverData, fault_id = 0): number {
    const given = data && { data_type: data.type, data_len: data.bytes.length, data_uptr: this.vmm.put(data.bytes) }
    return this.call(iommufd.IOMMU_HWPT_ALLOC, { dev_id, pt_id, flags, fault_id, ...given }).out_hwpt_id
  }
  map(user_va: Uva, length: bigint, iova?: bigint, ioas_id: number = this.ioas): bigint {
    const place = iova === undefined ? { flags: 6 } : { flags: FIXED_RW, iova }
    return this.call(iommufd.IOMMU_IOAS_MAP, { ioas_id, user_va, length, ...place }).iova
  }
  mapFile(fd: number, start: bigint, length: bigint, iova?: bigint): bigint {
    const place = iova === undefined ? { flags: 6 } : { flags: FIXED_RW, iova }
    return this.call(iommufd.IOMMU_IOAS_MAP_FILE, { ioas_id: this.ioas, fd, start, length, ...place }).iova
  }
  unmap(iova: bigint, length: bigint, ioas_id: number = this.ioas): bigint {
    return this.call(iommufd.IOMMU_IOAS_UNMAP, { ioas_id, iova, length }).length
  }
  destroy(id: number): void {
    this.call(iommufd.IOMMU_DESTROY, { id })
  }
  /** Pages below an iova must be those of a user address. */
  checkMap(hwpt: number, iova: bigint, length: bigint, uptr: Uva): void {
    this.call(mock.IOMMU_TEST_OP_MD_CHECK_MAP, { id: hwpt, iova, length, uptr })
  }
  checkRefs(uptr: Uva, length: bigint, refs: number): void {
    this.call(mock.IOMMU_TEST_OP_MD_CHECK_REFS, { uptr, length, refs })
  }
  sound(): void {
    mustBeSound(this.host)
  }
  /** What read(2) gives. */
  read(fd: number, bytes: number): Uint8Array {
    const into = new Uint8Array(bytes)
    return into.subarray(0, this.vmm.read(fd, into))
  }
  /** The program ends: nothing is left. */
  [Symbol.dispose](): void {
    this.sound()
    this.vmm.exit()
    this.sound()
    expect([this.host.get(Pages).allocated, this.host.get(UserFrames).pinned]).toEqual([this.#free, 0])
    this.host.close()
  }
}
