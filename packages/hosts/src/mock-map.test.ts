/** Mappings through mock domains, pages and pins compared: tools/testing/selftests/iommu/iommufd.c `all_aligns`, `dmabuf_*`, `ro_unshare`. */
import * as mock from '@ioasis/iommu-mock'
import { IOMMU_IOAS_MAP } from '@ioasis/iommufd'
import { describe, expect, test } from 'vitest'
import { ending, MockBench, PAGE, selftestData, START } from './mock-bench.test-kit.ts'

const MOCK_PAGE = 2048
const HUGE_PAGE = 0x20_0000
const floor = (value: number): bigint => BigInt(value - (value % 4096))

describe.each([
  { name: 'pages', bytes: 8 * 4096, step: MOCK_PAGE, huge: undefined },
  { name: 'huge pages', bytes: 2 * HUGE_PAGE, step: HUGE_PAGE / 8, huge: HUGE_PAGE },
])('$name', ({ bytes, step, huge }) => {
  const sizes = huge === undefined ? {} : { huge }

  test.each([1, 2])('every alignment and length, with %i domains', (domains) => {
    using bench = new MockBench()
    const hwpts = [bench.device().hwpt]
    const { idev } = bench.device()
    if (domains === 2) hwpts.push(bench.hwpt(idev, bench.ioas))
    const user = bench.vmm.mmap({ bytes, shared: true, ...sizes })
    for (let start = 0; start < bytes; start += step) {
      for (let end = start + (huge ? bytes - start : MOCK_PAGE); end <= bytes; end += MOCK_PAGE) {
        const length = BigInt(end - start)
        const iova = bench.map(user + BigInt(start), length)
        for (const hwpt of hwpts) bench.checkMap(hwpt, iova, length, user + BigInt(start))
        bench.checkRefs(user + floor(start), floor(end) - floor(start), 1)
        expect(bench.unmap(iova, length)).toBe(length)
      }
    }
    bench.checkRefs(user, BigInt(bytes), 0)
  })
  test('from a file', () => {
    using bench = new MockBench()
    const { hwpt } = bench.device()
    const fd = bench.vmm.memfd(bytes, sizes)
    const user = bench.vmm.mmap({ fd, bytes, offset: 0n })
    for (let start = 0; start < bytes; start += step) {
      const length = BigInt(bytes - start)
      const iova = bench.mapFile(fd, BigInt(start), length)
      bench.checkMap(hwpt, iova, length, user + BigInt(start))
      expect(bench.unmap(iova, length)).toBe(length)
    }
  })
})

test('domains come and go while an area stays', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 0x8000, shared: true })
  const iova = bench.map(user + 0x800n, 0x6800n, START + 0x800n)
  bench.checkRefs(user, 0x7000n, 0)
  for (let i = 0; i < 3; i++) {
    const { stdev, hwpt } = bench.device()
    bench.checkMap(hwpt, iova, 0x6800n, user + 0x800n)
    bench.checkRefs(user, 0x7000n, 1)
    expect(ending(() => bench.checkRefs(user, 0x8000n, 1))).toBe('EIO')
    bench.destroy(stdev)
    bench.checkRefs(user, 0x8000n, 0)
  }
})

test('with a domain, lengths are whole mock pages; without one, any', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 0x4000 })
  const fits = (length: bigint): string => ending(() => bench.unmap(bench.map(user, length), length))
  const lengths = [1n, 2047n, 2048n, 2049n, 4096n, 6144n, 8191n]
  expect(lengths.map(fits)).toEqual(lengths.map(() => 'ok'))
  bench.device()
  expect(lengths.map(fits)).toEqual(['EINVAL', 'EINVAL', 'ok', 'EINVAL', 'ok', 'ok', 'EINVAL'])
})

test('a private page that is mapped for reading stays when the program writes it', () => {
  using bench = new MockBench()
  const { hwpt } = bench.device()
  const fd = bench.vmm.memfd(4096)
  const user = bench.vmm.mmap({ fd, bytes: 4096, offset: 0n, shared: false })
  const { iova } = bench.call(IOMMU_IOAS_MAP, { ioas_id: bench.ioas, user_va: user, length: PAGE, flags: 4 })
  bench.checkMap(hwpt, iova, PAGE, user)
  bench.vmm.poke(user, new Uint8Array(4096).fill(1))
  expect(ending(() => bench.checkMap(hwpt, iova, PAGE, user))).toBe('ok')
})

test('the huge page table reaches beyond the usual aperture, with pages of 1 MiB', () => {
  using bench = new MockBench()
  const { idev } = bench.device()
  const ioas = bench.newIoas()
  const hwpt = bench.hwpt(idev, ioas, 0, selftestData(mock.PAGE_TABLE.HUGE))
  const user = bench.vmm.mmap({ bytes: HUGE_PAGE, huge: HUGE_PAGE, shared: true })
  const map = (iova: bigint, length: bigint): string => ending(() => bench.map(user, length, iova, ioas))
  expect(map((1n << 38n) - BigInt(HUGE_PAGE), BigInt(HUGE_PAGE))).toBe('ok')
  bench.checkMap(hwpt, (1n << 38n) - BigInt(HUGE_PAGE), BigInt(HUGE_PAGE), user)
  expect([map(1n << 38n, PAGE), map(0x800n, PAGE), map(0n, PAGE)]).toEqual(['EINVAL', 'EINVAL', 'ok'])
})

const dmaBuf = (bench: MockBench, length: number): number =>
  bench.ret(mock.IOMMU_TEST_OP_DMABUF_GET, { length, open_flags: 0o2000002 })
const revoke = (bench: MockBench, dmabuf_fd: number, revoked: boolean): string =>
  ending(() => bench.call(mock.IOMMU_TEST_OP_DMABUF_REVOKE, { dmabuf_fd, revoked: revoked ? 1 : 0 }))

describe('a dma-buf of the test', () => {
  test.each([0, 1])('is mapped whole or in part, with %i domains', (domains) => {
    using bench = new MockBench()
    if (domains) bench.device()
    expect([0, 512 * 4096 + 1].map((length) => ending(() => dmaBuf(bench, length)))).toEqual(['EINVAL', 'EINVAL'])
    const fd = dmaBuf(bench, 4 * 4096 - 5)
    const size = 4n * PAGE
    const refused = [[0n, 0n], [size, size], [0n, size + 1n]] as const // prettier-ignore
    expect(refused.map(([start, length]) => ending(() => bench.mapFile(fd, start, length)))).toEqual([
      'EINVAL',
      'EINVAL',
      'EINVAL',
    ])
    bench.mapFile(fd, 0n, size)
    bench.sound()
    bench.vmm.close(fd)
    bench.sound()
  })

  test.each([0, 1])(
    'once taken back nobody reaches it, and a mapping made before never does again, with %i domains',
    (domains) => {
      using bench = new MockBench()
      const device = domains ? bench.device() : undefined
      const fd = dmaBuf(bench, 4 * 4096)
      const size = 4n * PAGE
      const iova = bench.mapFile(fd, 0n, size)
      expect(revoke(bench, fd, true)).toBe('ok')
      bench.sound()
      if (device) bench.hwpt(device.idev, bench.ioas)
      expect(ending(() => bench.mapFile(fd, 0n, size))).toBe('ENODEV')
      expect(revoke(bench, fd, false)).toBe('ok')
      bench.mapFile(fd, 0n, size)
      bench.unmap(iova, size)
      bench.mapFile(fd, 0n, size, iova)
      bench.sound()
    },
  )

  test('only such a file can be taken back', () => {
    using bench = new MockBench()
    expect([revoke(bench, 99, true), revoke(bench, bench.fd, true)]).toEqual(['EBADF', 'EINVAL'])
  })
})
