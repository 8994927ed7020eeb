/** One IOAS without a domain, with one and with two: tools/testing/selftests/iommu/iommufd.c, fixtures iommufd, iommufd_ioas, change_process. */
import * as mock from '@ioasis/iommu-mock'
import * as iommufd from '@ioasis/iommufd'
import { describe, expect, test } from 'vitest'
import { ending, MockBench, PAGE, START } from './mock-bench.test-kit.ts'

const MOCK_PAGE = 2048n
const ALL = 2n ** 64n - 1n
const HUGE_PAGES = 1
const SET = 0
/** Aperture of the mock. */
const LAST = 0x7fff_ffffn

/** The i-th lies at a multiple of the largest power of two in its length. */
const aligned = (iovas: readonly bigint[]): boolean =>
  iovas.every((iova, i) => iova % (PAGE * BigInt((i + 1) & -(i + 1))) === 0n)

describe.each([
  { domains: 0, limit: 0 },
  { domains: 1, limit: 0 },
  { domains: 2, limit: 0 },
  { domains: 1, limit: 16 },
])('with $domains domains, little memory: $limit', ({ domains, limit }) => {
  const setUp = () => {
    const bench = new MockBench()
    if (limit) bench.call(mock.IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT, { limit })
    for (let i = 0; i < domains; i++) bench.device()
    const user = bench.vmm.mmap({ bytes: 0x2_0000, shared: true })
    const id = bench.ioas
    return {
      bench,
      user,
      base: domains ? START : 0n,
      map: (length: bigint, iova: bigint) => ending(() => bench.map(user, length, iova)),
      unmap: (iova: bigint, length: bigint) => ending(() => bench.unmap(iova, length)),
      /** Ten areas of one to ten pages, placed by the kernel, and gone again. */
      placed: (): readonly bigint[] => {
        const lengths = Array.from({ length: 10 }, (_, i) => PAGE * BigInt(i + 1))
        const iovas = lengths.map((length) => bench.map(user, length))
        lengths.forEach((length, i) => bench.unmap(iovas[i] as bigint, length))
        return iovas
      },
      reserve: (start: bigint, length: bigint) =>
        ending(() => bench.call(mock.IOMMU_TEST_OP_ADD_RESERVED, { id, start, length })),
      allow: (...range: readonly bigint[]) => {
        const allowed_iovas = bench.vmm.put(new Uint8Array(BigUint64Array.from(range).buffer))
        const given = { ioas_id: id, num_iovas: range.length / 2, allowed_iovas }
        return ending(() => bench.call(iommufd.IOMMU_IOAS_ALLOW_IOVAS, given))
      },
      ranges: (room: number) => {
        const allowed_iovas = bench.vmm.put(new Uint8Array(64))
        const given = { ioas_id: id, num_iovas: room, allowed_iovas }
        const { errno, out } = bench.vmm.attempt(bench.fd, iommufd.IOMMU_IOAS_IOVA_RANGES, given)
        const told = [...new BigUint64Array(bench.vmm.peek(allowed_iovas, 32).slice().buffer)]
        return [errno ?? 'ok', out.num_iovas, ...told]
      },
    }
  }
  const tens = Array.from({ length: 10 }, (_, i) => PAGE * BigInt(i))

  test('is destroyed while no device is in it', () => {
    const { bench } = setUp()
    using _ = bench
    expect(ending(() => bench.destroy(bench.ioas))).toBe(domains ? 'EBUSY' : 'ok')
  })
  test('areas are unmapped whole, and never mapped over', () => {
    const { bench, base, map, unmap } = setUp()
    using _ = bench
    expect(new Set(tens.map((at) => unmap(at, PAGE)))).toEqual(new Set(['ENOENT']))
    expect(new Set(tens.map((at) => map(PAGE, base + at)))).toEqual(new Set(['ok']))
    expect(new Set(tens.map((at) => unmap(base + at, PAGE)))).toEqual(new Set(['ok']))
    const at = base + 16n * PAGE
    expect([map(2n * PAGE, at), unmap(at, PAGE), unmap(at + PAGE, PAGE)]).toEqual(['ok', 'ENOENT', 'ENOENT'])
    const over = [map(2n * PAGE, at), map(PAGE, at), map(PAGE, at + PAGE)]
    expect(over.concat(map(2n * PAGE, at - PAGE), map(3n * PAGE, at - PAGE))).toEqual(Array(5).fill('EEXIST'))
    expect([bench.unmap(0n, ALL), bench.unmap(0n, ALL)]).toEqual([2n * PAGE, 0n])
  })
  test('an unmap takes the areas that lie inside it, and none that it would cut', () => {
    const { bench, base, map, unmap } = setUp()
    using _ = bench
    const first = base + 4n * PAGE
    for (const i of [0n, 1n, 2n, 3n]) map(8n * PAGE, first + i * 16n * PAGE)
    expect([unmap(first - 4n * PAGE, 8n * PAGE), unmap(first + 52n * PAGE, 8n * PAGE)]).toEqual(['ENOENT', 'ENOENT'])
    expect(bench.unmap(first - 4n * PAGE, 60n * PAGE)).toBe(32n * PAGE)
  })
  test('places are aligned to the length, outside what is reserved and inside what is allowed', () => {
    const { bench, placed, reserve, allow } = setUp()
    using _ = bench
    expect(aligned(placed())).toBe(true)
    expect(reserve(4n * PAGE, 100n * PAGE)).toBe('ok')
    const around = placed()
    expect([aligned(around), around.some((iova) => iova > 4n * PAGE && iova < 104n * PAGE)]).toEqual([true, false])
    expect(allow(PAGE, 600n * PAGE)).toBe('EADDRINUSE')
    const first = domains ? START + PAGE : 200n * PAGE
    expect(allow(first, first + 600n * PAGE - 1n)).toBe('ok')
    const inside = placed()
    expect([aligned(inside), inside.every((iova) => iova >= first && iova < first + 600n * PAGE)]).toEqual([true, true])
  })
  test('nothing fits around nearly all iovas, and no sum overflows', () => {
    const { bench, user, reserve } = setUp()
    using _ = bench
    expect(reserve(6n, 0xffff_ffff_ffff_8001n)).toBe('ok')
    expect(ending(() => bench.map(user, 0x5000n))).toBe('ENOSPC')
  })
  test('what is allowed cannot be reserved, nor the other way round', () => {
    const { bench, base, reserve, allow } = setUp()
    using _ = bench
    const most = [base, base + 600n * PAGE] as const
    expect([allow(...most), reserve(base + PAGE, PAGE), allow()]).toEqual(['ok', 'EADDRINUSE', 'ok'])
    expect([reserve(base + PAGE, PAGE), allow(...most)]).toEqual(['ok', 'EADDRINUSE'])
  })
  test('the iovas that can be used are told as far as there is room', () => {
    const { bench, ranges, reserve } = setUp()
    using _ = bench
    const whole = domains ? [START, LAST] : [0n, ALL]
    expect([ranges(4), ranges(0)]).toEqual([
      ['ok', 1, ...whole, 0n, 0n],
      ['EMSGSIZE', 1, 0n, 0n, 0n, 0n],
    ])
    expect(reserve(PAGE, PAGE)).toBe('ok')
    const parts = [0n, PAGE - 1n, 2n * PAGE, ALL]
    expect(ranges(4)).toEqual(domains ? ['ok', 1, ...whole, 0n, 0n] : ['ok', 2, ...parts])
    expect(ranges(1)).toEqual(domains ? ['ok', 1, ...whole, 0n, 0n] : ['EMSGSIZE', 2, 0n, PAGE - 1n, 0n, 0n])
  })
  test('any length is mapped while nobody needs pages', () => {
    const { bench, user } = setUp()
    using _ = bench
    const wrong = Array.from({ length: 2 * 4096 - 1 }, (_x, i) => BigInt(i + 1)).filter((length) => {
      const ended = ending(() => bench.unmap(bench.map(user, length), length))
      return ended !== (domains && length % MOCK_PAGE ? 'EINVAL' : 'ok')
    })
    expect(wrong).toEqual([])
  })
  test('a copy of any part that is mapped, within the IOAS and into another', () => {
    const { bench, base, map } = setUp()
    using _ = bench
    const other = bench.newIoas()
    const copy = (src_iova: bigint, dst_ioas_id: number, dst_iova: bigint, length = PAGE): string => {
      const given = { flags: 3, src_ioas_id: bench.ioas, dst_ioas_id, src_iova, dst_iova, length }
      return ending(() => bench.call(iommufd.IOMMU_IOAS_COPY, given))
    }
    map(PAGE, base)
    expect([copy(base, bench.ioas, base + PAGE), copy(base, other, 0n)]).toEqual(['ok', 'ok'])
    bench.unmap(0n, ALL)
    const last = START + 0x2_0000n - (domains ? 1n : 2n)
    map(last - START + 1n, START)
    const starts = Array.from(
      { length: Number((last - START + PAGE) / 511n) + 1 },
      (_x, i) => START - PAGE + BigInt(i) * 511n,
    )
    const wrong = starts.filter((iova) => {
      const ended = copy(iova, other, START, MOCK_PAGE)
      if (ended === 'ok') bench.unmap(START, MOCK_PAGE, other)
      return ended !== (iova < START || iova + MOCK_PAGE - 1n > last ? 'ENOENT' : 'ok')
    })
    expect(wrong).toEqual([])
  })
  test('what a child mapped stays as far as it was pinned while the child was there', () => {
    const { bench, user } = setUp()
    using _ = bench
    const id = bench.call(mock.IOMMU_TEST_OP_CREATE_ACCESS, { id: bench.ioas }).out_access_fd
    const child = bench.vmm.fork()
    bench.vmm.poke(user, Uint8Array.of(1, 2, 3, 4))
    const given = { ioas_id: bench.ioas, user_va: user, length: 0x2_0000n, flags: 7, iova: START }
    child.ioctl(bench.fd, iommufd.IOMMU_IOAS_MAP, given)
    child.exit()
    expect(ending(() => bench.device())).toBe(domains ? 'ok' : 'EFAULT')
    const uptr = bench.vmm.mmap({ bytes: 4096 })
    const read = ending(() => bench.call(mock.IOMMU_TEST_OP_ACCESS_RW, { id, iova: START, length: 4n, uptr }))
    expect([read, [...bench.vmm.peek(uptr, 4)]]).toEqual(domains ? ['ok', [1, 2, 3, 4]] : ['EFAULT', [0, 0, 0, 0]])
    bench.vmm.close(id)
  })
  test('the memory of a child is read while it is there', () => {
    const { bench, user } = setUp()
    using _ = bench
    const id = bench.call(mock.IOMMU_TEST_OP_CREATE_ACCESS, { id: bench.ioas }).out_access_fd
    const child = bench.vmm.fork()
    const given = { ioas_id: bench.ioas, user_va: user, length: 0x2_0000n, flags: 7, iova: START }
    child.ioctl(bench.fd, iommufd.IOMMU_IOAS_MAP, given)
    child.poke(user, Uint8Array.of(5, 6))
    expect(ending(() => bench.device())).toBe('ok')
    const uptr = bench.vmm.mmap({ bytes: 4096 })
    bench.call(mock.IOMMU_TEST_OP_ACCESS_RW, { id, iova: START, length: 2n, uptr })
    expect([...bench.vmm.peek(uptr, 2)]).toEqual([5, 6])
    child.exit()
    bench.vmm.close(id)
  })
})

test('without a domain an IOAS may ask for whole pages, as long as all areas are', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 0x4000 })
  const huge = (val64: bigint): string => {
    const given = { option_id: HUGE_PAGES, op: SET, object_id: bench.ioas, val64 }
    return ending(() => bench.call(iommufd.IOMMU_OPTION, given))
  }
  const half = (): string => ending(() => bench.map(user + MOCK_PAGE, PAGE, START + PAGE))
  bench.map(user, PAGE, START)
  expect([huge(0n), half(), huge(0n), huge(1n), half(), huge(0n), huge(2n)]).toEqual(
    ['ok', 'EINVAL', 'ok', 'ok', 'ok', 'EADDRINUSE', 'EINVAL'], // prettier-ignore
  )
})

test.each(Object.values(iommufd).filter((value) => typeof value === 'object' && 'minimum' in value))(
  '$name: too short, and longer with and without something in what is longer',
  (call) => {
    using bench = new MockBench()
    const run = (values: object, tail?: Uint8Array): string =>
      bench.vmm.attempt(bench.fd, call as typeof iommufd.IOMMU_DESTROY, values, tail).errno ?? 'ok'
    expect(run({ size: call.minimum - 1 })).toBe('EINVAL')
    expect(run({}, Uint8Array.of(0xff))).toBe('E2BIG')
    expect(run({}, Uint8Array.of(0))).toBe(run({}))
  },
)

test.each([
  { mode: 'the user', mm: 0n },
  { mode: 'the address space', mm: 1n },
])('a file mapping moves to another process, where pins count against $mode', ({ mm }) => {
  using bench = new MockBench()
  const { vmm } = bench
  // The mode can be chosen while a context has no object.
  const fd = vmm.open('/dev/iommu')
  vmm.ioctl(fd, iommufd.IOMMU_OPTION, { option_id: 0, op: SET, val64: mm })
  vmm.process.credentials = { uid: 1000, gid: 1000, capabilities: new Set() }
  const { out_ioas_id: ioas_id } = vmm.ioctl(fd, iommufd.IOMMU_IOAS_ALLOC)
  vmm.ioctl(fd, mock.IOMMU_TEST_OP_MOCK_DOMAIN, { id: ioas_id })
  const change = (client = vmm): string => ending(() => client.ioctl(fd, iommufd.IOMMU_IOAS_CHANGE_PROCESS))
  const place = { ioas_id, length: PAGE, flags: 6 }
  const { iova } = vmm.ioctl(fd, iommufd.IOMMU_IOAS_MAP, { ...place, user_va: vmm.mmap({ bytes: 4096 }) })
  expect(change()).toBe('EINVAL')
  vmm.ioctl(fd, iommufd.IOMMU_IOAS_UNMAP, { ioas_id, iova, length: PAGE })
  vmm.ioctl(fd, iommufd.IOMMU_IOAS_MAP_FILE, { ...place, fd: vmm.memfd(4096) })
  expect(change()).toBe('ok')
  const child = vmm.fork()
  const counted = (): readonly number[] =>
    [vmm, child].flatMap(({ process: { addressSpace } }) => [addressSpace.pinnedPages, addressSpace.locked.pages])
  const locked = Number(mm)
  expect([counted(), change(child), counted()]).toEqual([[1, locked, 0, 0], 'ok', [0, 0, 1, locked]])
  vmm.close(fd)
  child.exit()
})
