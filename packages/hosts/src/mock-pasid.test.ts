/** PASIDs of mock devices: tools/testing/selftests/iommu/iommufd.c `pasid_attach`. */
import * as mock from '@ioasis/iommu-mock'
import { IOMMU_FAULT_QUEUE_ALLOC, IOMMU_VIOMMU_ALLOC } from '@ioasis/iommufd'
import { expect, test } from 'vitest'
import { ending, MockBench, selftestData } from './mock-bench.test-kit.ts'

const NEST_PARENT = 1
const FAULT_ID_VALID = 4
const FOR_PASID = 8

function setUp() {
  const bench = new MockBench()
  const device = bench.device(bench.ioas, mock.DEVICE_FLAG.PASID)
  const parent = bench.hwpt(device.idev, bench.ioas, NEST_PARENT)
  const nested = [0, 1].map(() => bench.hwpt(device.idev, parent, FOR_PASID, selftestData())) as [number, number]
  const flat = bench.hwpt(device.idev, bench.ioas, FOR_PASID)
  const of = (stdev: number) => ({
    attach: (pasid: number, pt_id: number): string =>
      ending(() => bench.call(mock.IOMMU_TEST_OP_PASID_ATTACH, { id: stdev, pasid, pt_id })),
    replace: (pasid: number, pt_id: number): string =>
      ending(() => bench.call(mock.IOMMU_TEST_OP_PASID_REPLACE, { id: stdev, pasid, pt_id })),
    detach: (pasid: number): string => ending(() => bench.call(mock.IOMMU_TEST_OP_PASID_DETACH, { id: stdev, pasid })),
    check: (pasid: number, hwpt_id: number): string =>
      ending(() => bench.call(mock.IOMMU_TEST_OP_PASID_CHECK_HWPT, { id: stdev, pasid, hwpt_id })),
  })
  return { bench, device, parent, nested, flat, of, ...of(device.stdev) }
}

test('needs domains made for it, and beside it too', () => {
  const { bench, device, parent, nested, flat, attach, detach, check } = setUp()
  using _ = bench
  // Nothing is attached: harmless.
  expect(detach(100)).toBe('ok')
  bench.replace(device.stdev, parent)
  expect(attach(100, flat)).toBe('EINVAL')
  bench.replace(device.stdev, flat)
  expect(attach(100, nested[0])).toBe('ok')
  expect(ending(() => bench.replace(device.stdev, parent))).toBe('EINVAL')
  expect([detach(100), check(100, 0)]).toEqual(['ok', 'ok'])
  expect([attach(100, parent), check(100, 0), attach(100, bench.ioas), check(100, 0)]).toEqual([
    'EINVAL',
    'ok',
    'EINVAL',
    'ok',
  ])
  expect([attach(100, flat), check(100, flat), check(100, 0), check(100, nested[0])]).toEqual([
    'ok',
    'ok',
    'EINVAL',
    'EINVAL',
  ])
  expect([attach(100, nested[0]), attach(100, flat), attach(1 << 20, flat)]).toEqual(['EBUSY', 'EBUSY', 'EINVAL'])
  expect([check(100, 99), check(100, bench.ioas), check(0, flat)]).toEqual(['ENOENT', 'EINVAL', 'ok'])
})

test('is moved when it is attached, to a domain made for it', () => {
  const { bench, device, nested, flat, attach, replace, check } = setUp()
  using _ = bench
  bench.replace(device.stdev, flat)
  expect(replace(200, flat)).toBe('EINVAL')
  expect([attach(200, flat), replace(200, bench.ioas), check(200, flat)]).toEqual(['ok', 'EINVAL', 'ok'])
  for (const to of nested) expect([replace(200, to), check(200, to)]).toEqual(['ok', 'ok'])
  expect(ending(() => bench.destroy(nested[1]))).toBe('EBUSY')
  bench.destroy(nested[0])
  // What is left attached goes with the device.
  bench.destroy(device.stdev)
  bench.destroy(nested[1])
})

test('1024: the second attach in a row fails, and what was attached stays', () => {
  const { bench, device, nested, flat, attach, replace, detach, check } = setUp()
  using _ = bench
  bench.replace(device.stdev, flat)
  expect([attach(1024, flat), replace(1024, nested[0]), check(1024, flat)]).toEqual(['ok', 'ENOMEM', 'ok'])
  expect([replace(1024, nested[0]), check(1024, nested[0]), detach(1024)]).toEqual(['ok', 'ok', 'ok'])
  expect([attach(1024, flat), detach(1024), attach(1024, flat)]).toEqual(['ok', 'ok', 'ok'])
})

test('a device without PASIDs takes the domains, and no PASID', () => {
  const { bench, parent, nested, flat, of } = setUp()
  using _ = bench
  const plain = bench.device()
  bench.replace(plain.stdev, nested[0])
  bench.replace(plain.stdev, bench.ioas)
  const { attach } = of(plain.stdev)
  expect([attach(100, parent), attach(100, flat), attach(100, nested[0])]).toEqual(['EINVAL', 'EINVAL', 'EINVAL'])
})

test('page requests of a PASID go to the queue of its domain', () => {
  const { bench, device, parent, flat, attach, replace, detach } = setUp()
  using _ = bench
  const { out_fault_id, out_fault_fd } = bench.call(IOMMU_FAULT_QUEUE_ALLOC)
  const answered = bench.hwpt(device.idev, parent, FAULT_ID_VALID | FOR_PASID, selftestData(), out_fault_id)
  bench.call(IOMMU_VIOMMU_ALLOC, { dev_id: device.idev, hwpt_id: parent, type: mock.VIOMMU_TYPE_SELFTEST })
  bench.replace(device.stdev, flat)
  const fault = (pasid: number): number => {
    bench.call(mock.IOMMU_TEST_OP_TRIGGER_IOPF, { dev_id: device.idev, pasid, grpid: 1, perm: 1, addr: 0n })
    return bench.read(out_fault_fd, 40).length
  }
  expect([fault(2048), attach(2048, answered), fault(2048), fault(2049), fault(0)]).toEqual([0, 'ok', 40, 0, 0])
  expect([replace(2048, flat), fault(2048), detach(2048)]).toEqual(['ok', 0, 'ok'])
  bench.destroy(answered)
})

test('a domain that records writes is no place for a device that cannot, with or without a PASID', () => {
  const { bench, device } = setUp()
  using _ = bench
  const tracking = bench.hwpt(device.idev, bench.ioas, FOR_PASID | 2)
  const cannot = mock.DEVICE_FLAG.NO_DIRTY | mock.DEVICE_FLAG.PASID
  expect(ending(() => bench.device(tracking, cannot))).toBe('EINVAL')
  const able = bench.device(tracking, mock.DEVICE_FLAG.PASID)
  expect(
    ending(() => bench.call(mock.IOMMU_TEST_OP_PASID_ATTACH, { id: able.stdev, pasid: 100, pt_id: tracking })),
  ).toBe('ok')
  const other = bench.device(bench.newIoas(), cannot)
  const attach = (): string =>
    ending(() => bench.call(mock.IOMMU_TEST_OP_PASID_ATTACH, { id: other.stdev, pasid: 100, pt_id: tracking }))
  expect(attach()).toBe('EINVAL')
})
