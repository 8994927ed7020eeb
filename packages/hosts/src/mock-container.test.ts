/** Container calls on an IOAS with a mock domain: tools/testing/selftests/iommu/iommufd.c, fixture vfio_compat_mock_domain. */
import { readCapabilities } from '@ioasis/core'
import { IOMMU_OPTION, IOMMU_VFIO_IOAS } from '@ioasis/iommufd'
import { VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_SET_IOMMU } from '@ioasis/uapi'
import { describe, expect, test } from 'vitest'
import { ending, MockBench, PAGE, START } from './mock-bench.test-kit.ts'

const SET = 1
const READ_WRITE = 3
const UNMAP_ALL = 2
const HUGE_PAGE = 0x20_0000
const HUGE_PAGES_OPTION = 1

/** The words of the struct. */
const told = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.slice(0, 24).buffer)]

describe.each([
  { type: 3n, name: 'type1 v2' },
  { type: 1n, name: 'type1 v1' },
])('$name', ({ type }) => {
  const setUp = () => {
    const bench = new MockBench()
    bench.device()
    bench.call(IOMMU_VFIO_IOAS, { ioas_id: bench.ioas, op: SET })
    bench.vmm.ioctl(bench.fd, VFIO_SET_IOMMU.number, type)
    const map = (vaddr: bigint, size: bigint, iova: bigint): string =>
      ending(() => bench.call(VFIO_IOMMU_MAP_DMA, { flags: READ_WRITE, vaddr, size, iova }))
    const unmap = (iova: bigint, size: bigint, flags = 0): bigint =>
      bench.call(VFIO_IOMMU_UNMAP_DMA, { flags, iova, size }).size
    return { bench, map, unmap }
  }

  test('information: the mock’s aperture, and room for it told in every size', () => {
    const { bench } = setUp()
    using _ = bench
    const ask = (argsz: number): Uint8Array =>
      bench.vmm.attempt(bench.fd, VFIO_IOMMU_GET_INFO, { argsz }, new Uint8Array(256)).bytes
    const [needed = 0, flags, pages] = told(ask(24))
    expect([flags, (pages as number) > 0, needed > 24]).toEqual([3, true, true])
    for (let argsz = 24; argsz <= needed; argsz++) {
      const bytes = ask(argsz)
      const offset = told(bytes)[4] as number
      expect(bytes.subarray(argsz).every((byte) => byte === 0)).toBe(true)
      const chain = readCapabilities(bytes.subarray(0, Math.max(argsz, 24)), offset)
      const ranges = chain.find(({ id }) => id === 1)
      if (!ranges) continue
      expect([...new BigUint64Array(ranges.body.slice(8, 24).buffer)]).toEqual([START, 0x7fff_ffffn])
    }
    expect(readCapabilities(ask(needed).subarray(0, needed), told(ask(needed))[4] as number).length).toBe(2)
  })

  test('maps, unmaps, unmaps nothing, unmaps everything', () => {
    const { bench, map, unmap } = setUp()
    using _ = bench
    const size = 16n * PAGE
    const user = bench.vmm.mmap({ bytes: size })
    expect([map(user, size, START), unmap(START, size), unmap(START, size)]).toEqual(['ok', size, 0n])
    expect(map(user, size, START)).toBe('ok')
    expect(ending(() => unmap(START, size, UNMAP_ALL))).toBe('EINVAL')
    expect(unmap(0n, 0n, UNMAP_ALL)).toBe(size)
    for (let i = 15n; i >= 0n; i--) expect(map(user + i * PAGE, PAGE, START + i * PAGE)).toBe('ok')
    for (let i = 0n; i < 16n; i++) expect(unmap(START + ((i * 7n) % 16n) * PAGE, PAGE)).toBe(PAGE)
  })

  test('v1 cuts what was mapped in one, v2 never does', () => {
    const { bench, map, unmap } = setUp()
    using _ = bench
    expect(bench.call(IOMMU_OPTION, { option_id: HUGE_PAGES_OPTION, op: 1, object_id: bench.ioas }).val64).toBe(
      type === 1n ? 0n : 1n,
    )
    const size = BigInt(2 * HUGE_PAGE)
    const user = bench.vmm.mmap({ bytes: size, huge: HUGE_PAGE, shared: true })
    expect(map(user, size, START)).toBe('ok')
    const part = size / 16n
    for (let i = 0n; i < 16n; i++) {
      const cut = ending(() => unmap(START + ((i * 5n) % 16n) * part, part))
      expect(cut).toBe(type === 1n ? 'ok' : 'ENOENT')
      bench.sound()
    }
  })
})
