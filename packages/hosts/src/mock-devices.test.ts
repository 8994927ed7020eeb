/** Mock devices as programs make them: tools/testing/selftests/iommu/iommufd.c, `replace`, `alloc_hwpt`, `hwpt_attach` and others. */
import { IommuGroups, Sysfs } from '@ioasis/core'
import * as mock from '@ioasis/iommu-mock'
import { IOMMU_DESTROY, IOMMU_GET_HW_INFO } from '@ioasis/iommufd'
import { expect, test } from 'vitest'
import { ending, MockBench, PAGE, START } from './mock-bench.test-kit.ts'

test('ids: the object of the test, the bound device, then the HWPT; a second device shares the HWPT', () => {
  using bench = new MockBench()
  expect([bench.device(), bench.device()]).toEqual([
    { stdev: 2, idev: 3, hwpt: 4 },
    { stdev: 5, idev: 6, hwpt: 4 },
  ])
})

test('a device that cannot be made, bound or attached uses no id', () => {
  using bench = new MockBench()
  expect(ending(() => bench.device(bench.ioas, 2))).toBe('EINVAL')
  expect(ending(() => bench.device(99))).toBe('ENOENT')
  const { stdev, idev } = bench.device()
  expect([stdev, idev]).toEqual([2, 3])
  // Neither the object of the test nor the bound device is something to attach to.
  expect(ending(() => bench.device(stdev))).toBe('EINVAL')
  expect(ending(() => bench.replace(idev, bench.ioas))).toBe('ENOENT')
  expect(bench.device().stdev).toBe(5)
})

test('is in a group of its own, which goes with it', () => {
  using bench = new MockBench()
  const groups = bench.host.get(IommuGroups)
  const one = bench.device()
  bench.device()
  expect(groups.groups.map(({ id }) => id)).toEqual([0, 1])
  const sysfs = bench.host.get(Sysfs)
  expect(sysfs.read('/sys/kernel/iommu_groups/1/type')).toEqual('blocked\n')
  expect(sysfs.exists('/sys/kernel/iommu_groups/1/devices/iommufd_mock1/iommu_group/devices/iommufd_mock1')).toBe(true)
  bench.destroy(one.stdev)
  expect(groups.groups.map(({ id }) => id)).toEqual([1])
  expect([0, 1].map((n) => sysfs.exists(`/sys/devices/iommufd_mock${n}`))).toEqual([false, true])
  bench.device()
  expect(groups.groups.map(({ id }) => id)).toEqual([0, 1])
})

test('while a device is attached nothing below it can be destroyed; with it the automatic HWPT goes', () => {
  using bench = new MockBench()
  const { stdev, idev, hwpt } = bench.device()
  expect([hwpt, idev, bench.ioas].map((id) => ending(() => bench.destroy(id)))).toEqual(['EBUSY', 'EBUSY', 'EBUSY'])
  bench.destroy(stdev)
  expect([hwpt, idev, stdev].map((id) => ending(() => bench.destroy(id)))).toEqual(['ENOENT', 'ENOENT', 'ENOENT'])
  bench.destroy(bench.ioas)
})

test('moved to another IOAS, the HWPT of the first one goes', () => {
  using bench = new MockBench()
  const { stdev, hwpt } = bench.device()
  const other = bench.newIoas()
  const moved = bench.replace(stdev, other)
  expect(moved).not.toBe(hwpt)
  expect(ending(() => bench.replace(stdev, hwpt))).toBe('ENOENT')
  expect(bench.replace(stdev, other)).toBe(moved)
  bench.replace(stdev, bench.ioas)
  bench.destroy(other)
})

test('HWPTs that programs make take turns, and are busy while a device is in them', () => {
  using bench = new MockBench()
  const { stdev, idev } = bench.device()
  expect(ending(() => bench.hwpt(idev, bench.ioas, ~1 >>> 0))).toBe('EOPNOTSUPP')
  const plain = bench.hwpt(idev, bench.ioas)
  const parent = bench.hwpt(idev, bench.ioas, 1)
  for (const hwpt of [plain, parent]) {
    expect(bench.replace(stdev, hwpt)).toBe(hwpt)
    expect(ending(() => bench.destroy(hwpt))).toBe('EBUSY')
  }
  bench.replace(stdev, bench.ioas)
  bench.destroy(parent)
  const other = bench.device(plain)
  expect(other.hwpt).toBe(plain)
  bench.destroy(other.stdev)
  bench.destroy(plain)
})

test('areas that are there are in each domain that is made', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 0x8000 })
  bench.map(user, 0x8000n, START)
  const { hwpt, idev } = bench.device()
  const second = bench.hwpt(idev, bench.ioas)
  for (const id of [hwpt, second]) bench.checkMap(id, START, 0x8000n, user)
  expect(ending(() => bench.checkMap(hwpt, START + PAGE, PAGE, user))).toBe('EINVAL')
  expect(ending(() => bench.checkMap(hwpt, START, 0x400n, user))).toBe('EINVAL')
  expect(ending(() => bench.checkMap(hwpt, START, 2n ** 64n - PAGE, user))).toBe('EINVAL')
  expect(ending(() => bench.checkMap(bench.ioas, START, PAGE, user))).toBe('ENOENT')
  bench.vmm.munmap(user, 0x1000)
  expect(ending(() => bench.checkMap(hwpt, START, PAGE, user))).toBe('EFAULT')
})

test('hardware information: of its own kind, however much room there is', () => {
  using bench = new MockBench()
  const plain = bench.device()
  const pasid = bench.device(bench.ioas, mock.DEVICE_FLAG.PASID | mock.DEVICE_FLAG.NO_DIRTY)
  const ask = (dev_id: number, room: number, type?: number) => {
    const data_uptr = bench.vmm.put(new Uint8Array(16).fill(0xff))
    const asked = type === undefined ? {} : { flags: 1, data_type: type }
    const { data_len, out_max_pasid_log2, out_capabilities } = bench.call(IOMMU_GET_HW_INFO, {
      dev_id,
      data_len: room,
      data_uptr,
      ...asked,
    })
    return { data_len, out_max_pasid_log2, out_capabilities, bytes: bench.vmm.peek(data_uptr, 16) }
  }
  const register = [0, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde]
  expect(ask(plain.idev, 16).bytes).toEqual(Uint8Array.from([...register, ...Array.from({ length: 8 }, () => 0)]))
  expect(ask(plain.idev, 4).bytes.subarray(0, 5)).toEqual(Uint8Array.of(0, 0, 0, 0, 0xff))
  expect(ask(plain.idev, 8, mock.HW_INFO_TYPE_SELFTEST)).toMatchObject({ data_len: 8, out_capabilities: 9n })
  expect(ask(pasid.idev, 0)).toMatchObject({ out_max_pasid_log2: 20, out_capabilities: 8n })
  expect(ending(() => ask(plain.idev, 8, mock.HW_INFO_TYPE_SELFTEST + 1))).toBe('EOPNOTSUPP')
})

/** A command. @param length of the bytes, where it is not the size that they tell */
function made(op: number, size: number, length = size): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 12))
  new Uint32Array(bytes.buffer).set([size, op, 1])
  return bytes
}

test('the call itself: sizes, unknown sub-operations, what lies behind, memory that cannot be written back', () => {
  using bench = new MockBench()
  const { vmm, fd } = bench
  const send = (bytes: Uint8Array): number => vmm.ioctl(fd, mock.IOMMU_TEST_CMD.number, vmm.put(bytes))
  expect(ending(() => send(made(99, 72)))).toBe('EOPNOTSUPP')
  expect(ending(() => send(made(2, 67, 72)))).toBe('EINVAL')
  expect(ending(() => send(made(2, 68)))).toBe('ok')
  const tail = made(2, 80)
  tail[79] = 1
  expect(ending(() => send(tail))).toBe('E2BIG')
  // A number between the last call and this one has no row, but its size is read.
  expect(ending(() => vmm.ioctl(fd, 0x3b9a, 0n))).toBe('EFAULT')
  expect(ending(() => vmm.ioctl(fd, 0x3b9a, vmm.put(made(0, 8))))).toBe('ENOTTY')
  const before = bench.newIoas()
  const page = vmm.mmap({ bytes: 4096 })
  vmm.poke(page, made(2, 72))
  vmm.process.addressSpace.protect(page, 4096, { read: true, write: false })
  expect(ending(() => vmm.ioctl(fd, mock.IOMMU_TEST_CMD.number, page))).toBe('EFAULT')
  expect(bench.newIoas()).toBe(before + 1)
})

test('a reserved range is nobody’s, and nothing mapped may lie in it', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 4096 })
  const reserve = (start: bigint, length: bigint, id = bench.ioas): string =>
    ending(() => bench.call(mock.IOMMU_TEST_OP_ADD_RESERVED, { id, start, length }))
  bench.map(user, PAGE, START)
  expect([reserve(START, 0n), reserve(2n ** 64n - 1n, 2n), reserve(START, 1n, 99), reserve(START, 1n)]).toEqual([
    'EINVAL',
    'EOVERFLOW',
    'ENOENT',
    'EADDRINUSE',
  ])
  expect(reserve(START + PAGE, PAGE)).toBe('ok')
  expect(ending(() => bench.map(user, PAGE, START + PAGE))).toBe('EINVAL')
  const limit = (bytes: number): string =>
    ending(() => bench.call(mock.IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT, { limit: bytes }))
  expect([limit(11), limit(12), limit(65_536)]).toEqual(['EINVAL', 'ok', 'ok'])
  expect(ending(() => bench.call(IOMMU_DESTROY, { id: 77 }))).toBe('ENOENT')
})
