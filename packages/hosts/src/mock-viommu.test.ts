/** Virtual IOMMUs on the mock: tools/testing/selftests/iommu/iommufd.c, fixture iommufd_viommu. */
import * as mock from '@ioasis/iommu-mock'
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HW_QUEUE_ALLOC,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VEVENTQ_ALLOC,
  IOMMU_VIOMMU_ALLOC,
} from '@ioasis/iommufd'
import { expect, test } from 'vitest'
import { ending, MockBench, PAGE, selftestData, START } from './mock-bench.test-kit.ts'

const NEST_PARENT = 1
const FAULT_ID_VALID = 4
const { DEVICE_CACHE_DEFAULT: D } = mock

/** A device, a parent, a vIOMMU on it, and a nested domain in that. */
function setUp() {
  const bench = new MockBench()
  const device = bench.device()
  const parent = bench.hwpt(device.idev, bench.ioas, NEST_PARENT)
  const alloc = (
    hwpt_id: number,
    type: number = mock.VIOMMU_TYPE_SELFTEST,
    data?: { uva: bigint; bytes: number },
  ): number => {
    const given = data && { data_uptr: data.uva, data_len: data.bytes }
    return bench.call(IOMMU_VIOMMU_ALLOC, { dev_id: device.idev, hwpt_id, type, ...given }).out_viommu_id
  }
  const viommu = alloc(parent)
  const nested = bench.hwpt(device.idev, viommu, 0, selftestData())
  const vdevice = (virt_id: bigint): number =>
    bench.call(IOMMU_VDEVICE_ALLOC, { viommu_id: viommu, dev_id: device.idev, virt_id }).out_vdevice_id
  const trigger = (): string => ending(() => bench.call(mock.IOMMU_TEST_OP_TRIGGER_VEVENT, { dev_id: device.idev }))
  return { bench, device, parent, alloc, viommu, nested, vdevice, trigger }
}

test('is made on a parent alone, of its own type alone, and keeps it', () => {
  const { bench, device, parent, alloc, viommu } = setUp()
  using _ = bench
  const plain = bench.hwpt(device.idev, bench.ioas)
  expect([ending(() => alloc(0)), ending(() => alloc(plain)), ending(() => alloc(parent, 0xdead))]).toEqual([
    'ENOENT',
    'EINVAL',
    'EOPNOTSUPP',
  ])
  expect([parent, viommu].map((id) => ending(() => bench.destroy(id)))).toEqual(['EBUSY', 'EBUSY'])
})

test('with data: what goes in comes out, in the struct and in memory that is mapped through the file', () => {
  const { bench, parent, alloc } = setUp()
  using _ = bench
  const { vmm, fd } = bench
  const uva = vmm.put(mock.VIOMMU_SELFTEST.make({ in_data: 0xbeef }))
  const viommu = alloc(parent, mock.VIOMMU_TYPE_SELFTEST, { uva, bytes: 24 })
  const { out_data, out_mmap_offset: offset, out_mmap_length } = mock.VIOMMU_SELFTEST.decode(vmm.peek(uva, 24))
  expect([out_data, out_mmap_length]).toEqual([0xbeef, 2n * PAGE])
  const map = (bytes: bigint, at: bigint): bigint => vmm.mmap({ fd, bytes, offset: at })
  expect(ending(() => map(2n * PAGE, offset + PAGE))).toBe('ENXIO')
  expect(ending(() => map(2n * PAGE, offset + 2n * PAGE))).toBe('ENXIO')
  expect(ending(() => map(PAGE, offset))).toBe('ENXIO')
  expect(ending(() => map(4n * PAGE, offset))).toBe('ENXIO')
  const shown = map(2n * PAGE, offset)
  expect(vmm.memRead(shown, 4)).toBe(0xbeefn)
  expect(vmm.memWrite(shown + PAGE, 8, 7n)).toBeUndefined()
  expect(vmm.memRead(shown + PAGE, 8)).toBe(7n)
  expect(ending(() => bench.destroy(viommu))).toBe('EBUSY')
  vmm.munmap(shown, 2n * PAGE)
  bench.destroy(viommu)
  expect(ending(() => map(2n * PAGE, offset))).toBe('ENXIO')
})

test('data that is too short, too long, or nowhere leaves nothing', () => {
  const { bench, parent, alloc, viommu } = setUp()
  using _ = bench
  const uva = bench.vmm.put(new Uint8Array(64))
  const type = mock.VIOMMU_TYPE_SELFTEST
  expect(ending(() => alloc(parent, type, { uva, bytes: 7 }))).toBe('EINVAL')
  expect(ending(() => alloc(parent, type, { uva, bytes: 25 }))).toBe('EINVAL')
  expect(ending(() => alloc(parent, type, { uva: 0x1000n, bytes: 24 }))).toBe('EFAULT')
  bench.vmm.process.addressSpace.protect(uva, 4096, { read: true, write: false })
  expect(ending(() => alloc(parent, type, { uva, bytes: 24 }))).toBe('EFAULT')
  // The next id after the nested domain's.
  expect(alloc(parent)).toBe(viommu + 2)
})

test('a device enters a domain of the vIOMMU once it has an id there', () => {
  const { bench, device, viommu, nested, vdevice } = setUp()
  using _ = bench
  expect(ending(() => bench.replace(device.stdev, nested))).toBe('ENOENT')
  const id = vdevice(0x99n)
  expect(ending(() => vdevice(0x99n))).toBe('EEXIST')
  expect(bench.replace(device.stdev, nested)).toBe(nested)
  expect(ending(() => bench.destroy(viommu))).toBe('EBUSY')
  bench.destroy(device.stdev)
  expect(ending(() => bench.destroy(id))).toBe('ENOENT')
})

test('page requests of a domain in a vIOMMU come to its fault queue', () => {
  const { bench, device, viommu, vdevice } = setUp()
  using _ = bench
  const { out_fault_id, out_fault_fd } = bench.call(IOMMU_FAULT_QUEUE_ALLOC)
  const make = (flags: number, fault: number): number => bench.hwpt(device.idev, viommu, flags, selftestData(), fault)
  expect(ending(() => make(FAULT_ID_VALID, 0xffff_ffff))).toBe('ENOENT')
  expect(ending(() => make(FAULT_ID_VALID + 2 ** 31, out_fault_id))).toBe('EOPNOTSUPP')
  const hwpt = make(FAULT_ID_VALID, out_fault_id)
  expect(ending(() => bench.replace(device.stdev, hwpt))).toBe('ENOENT')
  vdevice(0x99n)
  bench.replace(device.stdev, hwpt)
  bench.call(mock.IOMMU_TEST_OP_TRIGGER_IOPF, { dev_id: device.idev, pasid: 0, grpid: 2, perm: 3, addr: 0xdead_b000n })
  expect(bench.read(out_fault_fd, 40)).toHaveLength(40)
  bench.replace(device.stdev, bench.ioas)
  bench.destroy(hwpt)
})

test('events: read whole, counted, and lost with a mark when the queue is full', () => {
  const { bench, device, viommu, nested, vdevice, trigger } = setUp()
  using _ = bench
  const make = (veventq_depth: number) =>
    bench.call(IOMMU_VEVENTQ_ALLOC, { viommu_id: viommu, type: mock.VEVENTQ_TYPE_SELFTEST, veventq_depth })
  expect(ending(() => make(0))).toBe('EINVAL')
  expect(ending(() => make((1 << 19) + 1))).toBe('EINVAL')
  const { out_veventq_id, out_veventq_fd: fd } = make(2)
  expect(ending(() => make(2))).toBe('EEXIST')
  const read = (bytes: number): number[] => [...new Uint32Array(Uint8Array.from(bench.read(fd, bytes)).buffer)]
  expect([0, 7].map((bytes) => ending(() => read(bytes)))).toEqual(['EINVAL', 'EINVAL'])
  expect(trigger()).toBe('ENOENT')
  const first = vdevice(0x99n)
  expect(trigger()).toBe('ENOENT')
  bench.replace(device.stdev, nested)
  expect(trigger()).toBe('ok')
  expect([0, 8].map((bytes) => ending(() => read(bytes)))).toEqual(['EINVAL', 'EINVAL'])
  expect(read(12)).toEqual([0, 0, 0x99])
  bench.replace(device.stdev, bench.ioas)
  bench.destroy(first)
  vdevice(0x88n)
  bench.replace(device.stdev, nested)
  expect([trigger(), trigger(), trigger()]).toEqual(['ok', 'ok', 'ok'])
  expect(read(64)).toEqual([0, 1, 0x88, 0, 2, 0x88, 1, 3])
  expect([trigger(), read(12)]).toEqual(['ok', [0, 4, 0x88]])
  expect(ending(() => bench.destroy(out_veventq_id))).toBe('EBUSY')
  bench.vmm.close(fd)
  bench.destroy(out_veventq_id)
  expect(trigger()).toBe('EOPNOTSUPP')
})

const entry = (flags: number, vdev: number, cache: number): number[] => [flags, vdev, cache]

test('invalidation clears the caches of devices, named by their ids in the guest', () => {
  const { bench, device, viommu, vdevice } = setUp()
  using _ = bench
  vdevice(0x99n)
  const invalidate = (entries: readonly (readonly number[])[], changed: object = {}) => {
    const { errno, out } = bench.vmm.attempt(bench.fd, IOMMU_HWPT_INVALIDATE, {
      hwpt_id: viommu,
      data_uptr: bench.vmm.put(new Uint8Array(Uint32Array.from(entries.flat()).buffer)),
      data_type: mock.VIOMMU_INVALIDATE_SELFTEST,
      entry_len: 12,
      entry_num: entries.length,
      ...changed,
    })
    return [errno ?? 'ok', out.entry_num]
  }
  const cache = (): number[] =>
    [0, 1, 2, 3].map((cache_id) => {
      const holds = (value: number): boolean =>
        ending(() => bench.call(mock.IOMMU_TEST_OP_DEV_CHECK_CACHE, { id: device.idev, cache_id, cache: value })) ===
        'ok'
      return holds(0) ? 0 : holds(D) ? D : -1
    })
  expect(invalidate([])).toEqual(['ok', 0])
  expect(invalidate([entry(0, 0x99, 0)], { data_type: 0xdad_beef })).toEqual(['EINVAL', 0])
  // Longer entries are read as structs of a newer program: what lies behind must be zero.
  expect(invalidate([entry(0, 0, 0)], { entry_len: 13 })).toEqual(['EINVAL', 0])
  expect(invalidate([[...entry(0, 0x99, 0), 1]], { entry_len: 16, entry_num: 1 })).toEqual(['E2BIG', 0])
  expect(invalidate([entry(0, 0x99, 0)], { entry_len: 1 })).toEqual(['EINVAL', 0])
  expect(invalidate([entry(0, 0x99, 0)], { entry_len: 0 })).toEqual(['EINVAL', 0])
  expect(invalidate([entry(0, 0x99, 0)], { data_uptr: 0n })).toEqual(['EINVAL', 0])
  expect(invalidate([entry(2, 0x99, 0)])).toEqual(['EOPNOTSUPP', 0])
  expect(invalidate([entry(0, 0x99, 4)])).toEqual(['EINVAL', 0])
  expect(invalidate([entry(0, 0x9, 0)])).toEqual(['EINVAL', 0])
  expect(cache()).toEqual([D, D, D, D])
  expect(invalidate([entry(0, 0x99, 0), entry(2, 0x99, 1)])).toEqual(['EOPNOTSUPP', 1])
  expect(cache()).toEqual([0, D, D, D])
  expect(invalidate([entry(0, 0x99, 2), entry(0, 0x99, 3)])).toEqual(['ok', 2])
  expect(cache()).toEqual([0, D, 0, 0])
  expect(invalidate([entry(1, 0x99, 0)])).toEqual(['ok', 1])
  expect(cache()).toEqual([0, 0, 0, 0])
  expect(ending(() => bench.call(mock.IOMMU_TEST_OP_DEV_CHECK_CACHE, { id: device.stdev, cache: 0 }))).toBe('ENOENT')
})

test('hardware queues: in order of their index, over pinned memory, gone in reverse', () => {
  const { bench, viommu } = setUp()
  using _ = bench
  const alloc = (index: number, base: bigint, length: bigint, type: number = mock.HW_QUEUE_TYPE_SELFTEST): number =>
    bench.call(IOMMU_HW_QUEUE_ALLOC, { viommu_id: viommu, type, index, nesting_parent_iova: base, length })
      .out_hw_queue_id
  expect(ending(() => alloc(0, START, PAGE, 0))).toBe('EOPNOTSUPP')
  expect(ending(() => alloc(0, START, 0n))).toBe('EINVAL')
  expect(ending(() => alloc(0, 2n ** 64n - 1n, PAGE))).toBe('EOVERFLOW')
  expect(ending(() => alloc(0, START, PAGE))).toBe('ENOENT')
  const user = bench.vmm.mmap({ bytes: 0x2000 })
  const first = bench.map(user, PAGE)
  const second = bench.map(user + PAGE, PAGE)
  expect(ending(() => alloc(1, first, PAGE))).toBe('EIO')
  expect(ending(() => alloc(2, first, PAGE))).toBe('EINVAL')
  const zero = alloc(0, first, PAGE)
  expect(ending(() => alloc(0, first, PAGE))).toBe('EEXIST')
  expect(ending(() => bench.unmap(first, PAGE))).toBe('EBUSY')
  bench.unmap(second, PAGE)
  const one = alloc(1, first + PAGE / 2n, PAGE / 2n)
  expect(ending(() => bench.destroy(zero))).toBe('EBUSY')
  bench.destroy(one)
  bench.destroy(zero)
  bench.unmap(first, PAGE)
})
