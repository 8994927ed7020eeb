/** Dirty tracking on the mock: tools/testing/selftests/iommu/iommufd.c, fixture iommufd_dirty_tracking. */
import * as mock from '@ioasis/iommu-mock'
import { IOMMU_HWPT_GET_DIRTY_BITMAP, IOMMU_HWPT_SET_DIRTY_TRACKING, IOMMU_OPTION } from '@ioasis/iommufd'
import { describe, expect, test } from 'vitest'
import { type DriverData, ending, MockBench, PAGE, selftestData, START } from './mock-bench.test-kit.ts'

const TRACKING = 2
const MOCK_PAGE = 2048
const HUGE = 1 << 20
const NO_CLEAR = 1

/** Memory mapped with pages of one size, and a domain that records writes. */
function setUp(bytes: number, data?: DriverData) {
  const bench = new MockBench()
  const { idev } = bench.device()
  const user = bench.vmm.mmap(data ? { bytes, huge: 2 * HUGE } : { bytes })
  // Neighbouring pages are not joined: a bit is a page.
  if (!data) bench.call(IOMMU_OPTION, { option_id: 1, op: 0, object_id: bench.ioas, val64: 0n })
  bench.map(user, BigInt(bytes), START)
  const hwpt = bench.hwpt(idev, bench.ioas, TRACKING, data)
  const range = { iova: START, length: BigInt(bytes), page_size: BigInt(MOCK_PAGE) }
  const bitmapBytes = Math.ceil(bytes / MOCK_PAGE / 8)
  return {
    bench,
    hwpt,
    track: (on: boolean) => bench.call(IOMMU_HWPT_SET_DIRTY_TRACKING, { hwpt_id: hwpt, flags: on ? 1 : 0 }),
    /** Marks pages, by number. @returns how many the kernel counted */
    mark: (pages: readonly number[]): bigint => {
      const bitmap = new Uint8Array(bitmapBytes)
      for (const page of pages) bitmap[page >> 3] = (bitmap[page >> 3] as number) | (1 << (page & 7))
      const uptr = bench.vmm.put(bitmap)
      return bench.call(mock.IOMMU_TEST_OP_DIRTY, { id: hwpt, ...range, uptr }).out_nr_dirty
    },
    /** @param shift bytes from the start of a page to the bitmap @returns numbers of the set bits */
    dirty: (flags = 0, shift = 0): readonly number[] => {
      const room = bench.vmm.put(new Uint8Array(bitmapBytes + shift))
      bench.call(IOMMU_HWPT_GET_DIRTY_BITMAP, { hwpt_id: hwpt, flags, ...range, data: room + BigInt(shift) })
      const bits = bench.vmm.peek(room + BigInt(shift), bitmapBytes)
      return [...bits].flatMap((byte, i) =>
        [0, 1, 2, 3, 4, 5, 6, 7].filter((n) => (byte >> n) & 1).map((n) => i * 8 + n),
      )
    },
  }
}
const every = (step: number, count: number): number[] =>
  Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step)

describe.each([8, 16, 64, 128, 320].map((kib) => ({ kib })))('$kib KiB of 4 KiB pages', ({ kib }) => {
  const pages = (kib << 10) / MOCK_PAGE

  test.each([0, 2048, 0xff1])('every second bit, read once, into a bitmap at %i', (shift) => {
    const { bench, track, mark, dirty } = setUp(kib << 10)
    using _ = bench
    track(true)
    const even = every(2, pages)
    expect(mark(even)).toBe(BigInt(even.length))
    expect(dirty(0, shift)).toEqual(even)
    expect(dirty(0, shift)).toEqual([])
  })
  test('read without clearing, it stays', () => {
    const { bench, track, mark, dirty } = setUp(kib << 10)
    using _ = bench
    track(true)
    const even = every(2, pages)
    mark(even)
    expect([dirty(NO_CLEAR), dirty(NO_CLEAR, 0xff1), dirty()]).toEqual([even, even, even])
    expect(dirty(NO_CLEAR)).toEqual([])
  })
})

test('pages of 1 MiB are told whole', () => {
  const { bench, track, mark, dirty } = setUp(8 * HUGE, selftestData(mock.PAGE_TABLE.HUGE))
  using _ = bench
  track(true)
  const perHuge = HUGE / MOCK_PAGE
  const marked = every(2 * perHuge, 8 * perHuge)
  expect(mark(marked)).toBe(4n)
  const told = marked.flatMap((first) => every(1, perHuge).map((i) => first + i))
  expect(dirty(NO_CLEAR)).toEqual(told)
  expect([dirty().length, dirty()]).toEqual([told.length, []])
})

test('nothing is marked before it is switched on, nor in a domain that cannot', () => {
  const { bench, hwpt, track, mark } = setUp(64 << 10)
  using _ = bench
  expect(ending(() => mark([0]))).toBe('EINVAL')
  track(true)
  expect(mark([0])).toBe(1n)
  track(false)
  expect(ending(() => mark([0]))).toBe('EINVAL')
  const { idev } = bench.device()
  const plain = bench.hwpt(idev, bench.ioas)
  expect(ending(() => bench.call(IOMMU_HWPT_SET_DIRTY_TRACKING, { hwpt_id: plain, flags: 1 }))).toBe('EOPNOTSUPP')
  track(true)
  const given = {
    id: hwpt,
    iova: START,
    length: PAGE,
    page_size: 2048n,
    uptr: bench.vmm.put(new Uint8Array(8).fill(0xff)),
  }
  const tries = [
    { page_size: 0n },
    { length: 0n },
    { iova: START + 1n },
    { length: PAGE + 1n },
    { uptr: 0n },
    { length: (1n << 27n) * 2048n + 2048n },
    { id: 99 },
    { id: plain },
    { uptr: 0x1000n },
    // Where nothing is mapped nothing is marked, and counted all the same.
    { iova: 0n },
  ]
  expect(tries.map((changed) => ending(() => bench.call(mock.IOMMU_TEST_OP_DIRTY, { ...given, ...changed })))).toEqual([
    'EINVAL',
    'EINVAL',
    'EINVAL',
    'EINVAL',
    'EINVAL',
    'EOVERFLOW',
    'ENOENT',
    'EINVAL',
    'EFAULT',
    'ok',
  ])
})

test('a device that cannot record writes is refused, and so is a domain for it', () => {
  using bench = new MockBench()
  const able = bench.device()
  const tracking = bench.hwpt(able.idev, bench.ioas, TRACKING)
  const other = bench.device(tracking)
  expect(ending(() => bench.device(tracking, mock.DEVICE_FLAG.NO_DIRTY))).toBe('EINVAL')
  bench.destroy(other.stdev)
  bench.destroy(tracking)
  const cannot = bench.device(bench.newIoas(), mock.DEVICE_FLAG.NO_DIRTY)
  expect(ending(() => bench.hwpt(cannot.idev, bench.ioas, TRACKING))).toBe('EOPNOTSUPP')
})
