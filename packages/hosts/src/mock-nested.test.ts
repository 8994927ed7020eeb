/** Nested domains and their invalidation: tools/testing/selftests/iommu/iommufd.c `alloc_hwpt_nested`. */
import * as mock from '@ioasis/iommu-mock'
import { IOMMU_FAULT_QUEUE_ALLOC, IOMMU_HWPT_INVALIDATE, type IommuHwptInvalidate } from '@ioasis/iommufd'
import { describe, expect, test } from 'vitest'
import { type DriverData, ending, MockBench, selftestData } from './mock-bench.test-kit.ts'

const { HWPT_DATA_SELFTEST, HWPT_INVALIDATE_SELFTEST, IOTLB_DEFAULT } = mock
const NEST_PARENT = 1
const FAULT_ID_VALID = 4

/** A device and a parent. */
function withParent() {
  const bench = new MockBench()
  const device = bench.device()
  const parent = bench.hwpt(device.idev, bench.ioas, NEST_PARENT)
  return { bench, device, parent }
}
/** The words of a record. */
const words = (bytes: Uint8Array): number[] => [...new Uint32Array(Uint8Array.from(bytes).buffer)]

describe('a nested domain', () => {
  const data = selftestData()
  const cut = (bytes: number): DriverData => ({ type: HWPT_DATA_SELFTEST, bytes: data.bytes.slice(0, bytes) })

  test('is refused for its data, its flags, its parent', () => {
    const { bench, device, parent } = withParent()
    using _ = bench
    const plain = bench.hwpt(device.idev, bench.ioas)
    const nested = bench.hwpt(device.idev, parent, 0, data)
    const tries: readonly (readonly [pt: number, flags: number, data: DriverData | undefined])[] = [
      [parent, 0, { type: 0, bytes: data.bytes }],
      [parent, 0, { type: HWPT_DATA_SELFTEST + 1, bytes: data.bytes }],
      [parent, 0, cut(3)],
      [parent, 0, { type: HWPT_DATA_SELFTEST, bytes: new Uint8Array(12) }],
      [parent, NEST_PARENT, data],
      [parent, 0, undefined],
      [plain, 0, data],
      [nested, 0, data],
      [device.idev, 0, data],
      [99, 0, data],
    ]
    expect(tries.map(([pt, flags, given]) => ending(() => bench.hwpt(device.idev, pt, flags, given)))).toEqual([
      'EINVAL',
      'EOPNOTSUPP',
      'EINVAL',
      'EINVAL',
      'EOPNOTSUPP',
      'EOPNOTSUPP',
      'EINVAL',
      'EINVAL',
      'EINVAL',
      'EINVAL',
    ])
    expect(ending(() => bench.hwpt(bench.ioas, device.idev, 0))).toBe('ENOENT')
    expect(ending(() => bench.hwpt(device.idev, bench.ioas, NEST_PARENT | FAULT_ID_VALID))).toBe('EOPNOTSUPP')
    // The shorter struct of an older program.
    bench.destroy(bench.hwpt(device.idev, parent, 0, cut(4)))
    bench.destroy(nested)
  })

  test('data of the mock makes a paging domain on an IOAS, not a nested one', () => {
    const { bench, device } = withParent()
    using _ = bench
    const hwpt = bench.hwpt(device.idev, bench.ioas, 0, data)
    expect(bench.replace(device.stdev, hwpt)).toBe(hwpt)
    expect(ending(() => bench.call(mock.IOMMU_TEST_OP_MD_CHECK_IOTLB, { id: hwpt }))).toBe('ENOENT')
    expect(ending(() => bench.hwpt(device.idev, bench.ioas, 0, selftestData(2)))).toBe('EOPNOTSUPP')
    expect(ending(() => bench.hwpt(device.idev, bench.ioas, 0, { ...data, type: 1 }))).toBe('EOPNOTSUPP')
  })

  test('keeps its parent, and is busy while a device is in it', () => {
    const { bench, device, parent } = withParent()
    using _ = bench
    const [one, two] = [0, 1].map(() => bench.hwpt(device.idev, parent, 0, data)) as [number, number]
    expect(ending(() => bench.destroy(parent))).toBe('EBUSY')
    for (const nested of [one, two]) {
      expect(bench.replace(device.stdev, nested)).toBe(nested)
      expect(ending(() => bench.destroy(nested))).toBe('EBUSY')
    }
    bench.destroy(one)
    bench.replace(device.stdev, parent)
    bench.destroy(two)
    bench.replace(device.stdev, bench.ioas)
    bench.destroy(parent)
  })

  test('sends page requests to its fault queue once a device is in it', () => {
    const { bench, device, parent } = withParent()
    using _ = bench
    const { vmm } = bench
    const queue = bench.call(IOMMU_FAULT_QUEUE_ALLOC)
    const fault = (pasid = 0): void =>
      void bench.call(mock.IOMMU_TEST_OP_TRIGGER_IOPF, {
        dev_id: device.idev,
        pasid,
        grpid: 5,
        perm: 3,
        addr: 0xdead_b000n,
      })
    expect(ending(() => bench.hwpt(device.idev, parent, FAULT_ID_VALID, data, 99))).toBe('ENOENT')
    const nested = bench.hwpt(device.idev, parent, FAULT_ID_VALID, data, queue.out_fault_id)
    fault()
    expect(bench.read(queue.out_fault_fd, 40)).toHaveLength(0)
    bench.replace(device.stdev, nested)
    fault()
    fault(77)
    const [first, second] = [bench.read(queue.out_fault_fd, 40), bench.read(queue.out_fault_fd, 40)]
    expect(words(first)).toEqual([2, device.idev, 0, 5, 3, 0, 0xdead_b000, 0, 0, 1])
    // User space keeps the PASID table of a nested domain: any PASID comes here.
    expect(words(second)).toEqual([3, device.idev, 77, 5, 3, 0, 0xdead_b000, 0, 0, 2])
    const answer = (cookie: number, code: number): number =>
      vmm.write(queue.out_fault_fd, new Uint8Array(Uint32Array.of(cookie, code).buffer))
    expect([answer(1, 0), answer(2, 1), ending(() => answer(1, 0))]).toEqual([8, 8, 'EINVAL'])
    bench.replace(device.stdev, bench.ioas)
    bench.destroy(nested)
    vmm.close(queue.out_fault_fd)
    bench.destroy(queue.out_fault_id)
  })
})

/** A nested domain, what invalidates it, and what its cache holds. */
function withNested() {
  const bench = new MockBench()
  const { idev } = bench.device()
  const parent = bench.hwpt(idev, bench.ioas, NEST_PARENT)
  const nested = bench.hwpt(idev, parent, 0, selftestData())
  /** @returns how it ended, and how many entries were done */
  const invalidate = (
    entries: readonly (readonly [flags: number, iotlb: number])[],
    changed: Partial<IommuHwptInvalidate> = {},
  ) => {
    const bytes = new Uint8Array(Uint32Array.from(entries.flat()).buffer)
    const { errno, out } = bench.vmm.attempt(bench.fd, IOMMU_HWPT_INVALIDATE, {
      hwpt_id: nested,
      data_uptr: bench.vmm.put(bytes),
      data_type: HWPT_INVALIDATE_SELFTEST,
      entry_len: 8,
      entry_num: entries.length,
      ...changed,
    })
    return [errno ?? 'ok', out.entry_num]
  }
  const cache = (): number[] =>
    [0, 1, 2, 3].map((iotlb_id) => {
      const holds = (iotlb: number): boolean =>
        ending(() => bench.call(mock.IOMMU_TEST_OP_MD_CHECK_IOTLB, { id: nested, iotlb_id, iotlb })) === 'ok'
      return holds(0) ? 0 : holds(IOTLB_DEFAULT) ? IOTLB_DEFAULT : -1
    })
  return { bench, parent, nested, invalidate, cache }
}

describe('invalidation of a nested domain', () => {
  const D = IOTLB_DEFAULT

  test('refuses what it must before it looks at entries, and says that none was done', () => {
    const { bench, parent, invalidate, cache } = withNested()
    using _ = bench
    expect(invalidate([[0, 0]], { hwpt_id: parent })).toEqual(['EINVAL', 0])
    expect(invalidate([[0, 0]], { hwpt_id: 99 })).toEqual(['ENOENT', 0])
    expect(invalidate([], {})).toEqual(['ok', 0])
    expect(invalidate([[0, 0]], { data_type: mock.HWPT_INVALIDATE_SELFTEST_INVALID })).toEqual(['EINVAL', 0])
    const lengths = [9, 1, 4097, 0]
    expect(lengths.map((entry_len) => invalidate([[0, 0]], { entry_len }))).toEqual(lengths.map(() => ['EINVAL', 0]))
    expect(invalidate([[0, 0]], { entry_num: (1 << 19) + 1 })).toEqual(['EINVAL', 0])
    expect(invalidate([[0, 0]], { data_uptr: 0n })).toEqual(['EINVAL', 0])
    expect(cache()).toEqual([D, D, D, D])
  })

  test('stops at the first entry that is refused: those before it are done', () => {
    const { bench, invalidate, cache } = withNested()
    using _ = bench
    expect(invalidate([[0xffff_ffff, 0]])).toEqual(['EOPNOTSUPP', 0])
    expect(invalidate([[0, 4]])).toEqual(['EINVAL', 0])
    expect(invalidate([[0, 0], [2, 1]])).toEqual(['EOPNOTSUPP', 1]) // prettier-ignore
    expect(cache()).toEqual([0, D, D, D])
    expect(invalidate([[0, 1], [0, 4], [0, 2]])).toEqual(['EINVAL', 1]) // prettier-ignore
    expect(cache()).toEqual([0, 0, D, D])
    // An index is looked at even where it does not count.
    expect(invalidate([[1, 9]])).toEqual(['EINVAL', 0])
    expect(invalidate([[1, 0]])).toEqual(['ok', 1])
    expect(cache()).toEqual([0, 0, 0, 0])
  })
})
