/** In-kernel accesses: tools/testing/selftests/iommu/iommufd.c `access_pin`, `access_rw`, `access_domain_destory`, `user_copy`. */
import { UserFrames } from '@ioasis/core'
import * as mock from '@ioasis/iommu-mock'
import { IOMMU_IOAS_COPY, IOMMU_IOAS_MAP } from '@ioasis/iommufd'
import { expect, test } from 'vitest'
import { ending, MockBench, PAGE, START } from './mock-bench.test-kit.ts'

const HUGE_PAGE = 0x20_0000
const PINS = mock.CREATE_ACCESS_FLAG.NEEDS_PIN_PAGES
const SYZ = 1 << 16

function access(bench: MockBench, ioas: number = bench.ioas, flags: number = PINS) {
  const fd = bench.call(mock.IOMMU_TEST_OP_CREATE_ACCESS, { id: ioas, flags }).out_access_fd
  return {
    fd,
    pin: (iova: bigint, length: bigint, uptr = 0n, how = 0): number =>
      bench.call(mock.IOMMU_TEST_OP_ACCESS_PAGES, { id: fd, iova, length, uptr, flags: how }).out_access_pages_id,
    unpin: (id: number): string =>
      ending(() => bench.call(mock.IOMMU_TEST_OP_DESTROY_ACCESS_PAGES, { id: fd, access_pages_id: id })),
    rw: (iova: bigint, length: bigint, uptr: bigint, how: number): string =>
      ending(() => bench.call(mock.IOMMU_TEST_OP_ACCESS_RW, { id: fd, iova, length, uptr, flags: how })),
    replace: (ioas_id: number): string =>
      ending(() => bench.call(mock.IOMMU_TEST_OP_ACCESS_REPLACE_IOAS, { id: fd, ioas_id })),
    close: (): void => bench.vmm.close(fd),
  }
}

test('is made for an IOAS, uses an id, and leaves nothing when it cannot be made', () => {
  using bench = new MockBench()
  expect(ending(() => access(bench, bench.ioas, 2))).toBe('EOPNOTSUPP')
  expect(ending(() => access(bench, 99))).toBe('ENOENT')
  const one = access(bench)
  expect(ending(() => bench.destroy(bench.ioas))).toBe('EBUSY')
  // Its own id is 2: nothing tells it, but the next object has another.
  expect(bench.newIoas()).toBe(3)
  expect(ending(() => bench.destroy(2))).toBe('EBUSY')
  one.close()
  bench.destroy(bench.ioas)
})

test('pins what the user’s address shows; several pins of a page count as one, and end one by one', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 0x8000 })
  bench.map(user, 8n * PAGE, START)
  const { pin, unpin, close } = access(bench)
  bench.checkRefs(user, 8n * PAGE, 0)
  for (let pages = 1n; pages <= 8n; pages++) {
    const one = pin(START, pages * PAGE, user)
    const two = pin(START, pages * PAGE, user, 1)
    bench.checkRefs(user, pages * PAGE, 1)
    const { stdev, hwpt } = bench.device()
    bench.checkMap(hwpt, START, 8n * PAGE, user)
    bench.checkRefs(user, 8n * PAGE, 1)
    bench.sound()
    expect([unpin(one), unpin(one)]).toEqual(['ok', 'ENOENT'])
    bench.destroy(stdev)
    bench.checkRefs(user, pages * PAGE, 1)
    expect(unpin(two)).toBe('ok')
    bench.checkRefs(user, 8n * PAGE, 0)
  }
  close()
})

test('what cannot be pinned, and where the user’s address shows something else', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 0x4000 })
  bench.map(user, 4n * PAGE, START)
  const { fd, pin, close } = access(bench)
  const copies = access(bench, bench.ioas, 0)
  const tries = [
    () => pin(START, (16n << 20n) + 1n),
    () => pin(START, PAGE, user, 4),
    () => bench.call(mock.IOMMU_TEST_OP_ACCESS_PAGES, { id: bench.fd, iova: START, length: PAGE }),
    () => bench.call(mock.IOMMU_TEST_OP_ACCESS_PAGES, { id: 77, iova: START, length: PAGE }),
    () => copies.pin(START, PAGE),
    () => pin(START, 0n),
    () => pin(2n ** 64n - PAGE, 2n * PAGE),
    () => pin(START - PAGE, PAGE),
    () => pin(START + 3n * PAGE, 2n * PAGE),
    () => pin(START, PAGE, user + PAGE),
    () => pin(START, PAGE, 0x1000n),
  ]
  expect(tries.map(ending)).toEqual([
    'ENOMEM',
    'EOPNOTSUPP',
    'EBADFD',
    'EBADFD',
    'EOPNOTSUPP',
    'EINVAL',
    'EOVERFLOW',
    'ENOENT',
    'ENOENT',
    'EBADE',
    'EFAULT',
  ])
  bench.checkRefs(user, 4n * PAGE, 0)
  // The n-th area and an offset in it, in the place of an iova; nowhere: 0.
  expect(pin((PAGE << 32n) + 0n, PAGE, user + PAGE, SYZ)).toBe(0)
  expect(ending(() => pin(5n, PAGE, 0n, SYZ))).toBe('ENOENT')
  expect(fd).toBeGreaterThan(0)
  close()
  copies.close()
})

test('an unmap takes the pins along', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 0x4000 })
  bench.map(user, 4n * PAGE, START)
  const { pin, unpin, close } = access(bench)
  const id = pin(START, 4n * PAGE, user)
  bench.unmap(START, 4n * PAGE)
  expect(unpin(id)).toBe('ENOENT')
  bench.checkRefs(user, 4n * PAGE, 0)
  close()
})

test('a domain goes while a page in the midst of a huge one is pinned', () => {
  using bench = new MockBench()
  const { stdev } = bench.device()
  const user = bench.vmm.mmap({ bytes: 2 * HUGE_PAGE, huge: HUGE_PAGE, shared: true })
  bench.map(user, BigInt(2 * HUGE_PAGE), START)
  const { pin, unpin, close } = access(bench)
  const id = pin(START + PAGE, PAGE, user + PAGE)
  bench.destroy(stdev)
  bench.sound()
  expect(unpin(id)).toBe('ok')
  close()
})

test('reads and writes at any byte, over the end of a page, with and without the slow path', () => {
  using bench = new MockBench()
  const bytes = 0x4000
  const user = bench.vmm.mmap({ bytes, shared: true })
  bench.vmm.poke(
    user,
    Uint8Array.from({ length: bytes }, (_, i) => i * 7),
  )
  const iova = bench.map(user, BigInt(bytes))
  const { rw, close } = access(bench, bench.ioas, 0)
  const room = bench.vmm.mmap({ bytes: 4096 })
  for (const slow of [0, mock.RW_FLAG.SLOW_PATH]) {
    for (let at = PAGE - 20n; at < PAGE + 20n; at += 3n) {
      for (const length of [1n, 2n, 17n, 41n]) {
        expect(rw(iova + at, length, room, slow)).toBe('ok')
        expect(bench.vmm.peek(room, Number(length))).toEqual(bench.vmm.peek(user + at, Number(length)))
        bench.vmm.poke(
          room,
          Uint8Array.from({ length: Number(length) }, (_, i) => i + Number(at) + slow),
        )
        expect(rw(iova + at, length, room, slow | mock.RW_FLAG.WRITE)).toBe('ok')
        expect(bench.vmm.peek(user + at, Number(length))).toEqual(bench.vmm.peek(room, Number(length)))
      }
    }
  }
  expect(rw(iova, PAGE, user + 2n * PAGE, 0)).toBe('ok')
  expect(bench.vmm.peek(user + 2n * PAGE, 4096)).toEqual(bench.vmm.peek(user, 4096))
  expect([
    rw(iova, (16n << 20n) + 1n, room, 0),
    rw(iova, 1n, room, 2),
    rw(iova, 0n, room, 0),
    rw(iova, 1n, 0x1000n, 1),
    rw(iova, 1n, 0x1000n, 0),
    rw(iova + BigInt(bytes), 1n, room, 0),
    rw(iova + BigInt(bytes) - 1n, 2n, room, 0),
    rw(2n ** 64n - 1n, 2n, room, 0),
    rw(5n << 32n, 4n, room, SYZ),
  ]).toEqual(['ENOMEM', 'EOPNOTSUPP', 'EINVAL', 'EFAULT', 'EFAULT', 'ENOENT', 'ENOENT', 'EOVERFLOW', 'ok'])
  expect(bench.vmm.peek(room, 4)).toEqual(bench.vmm.peek(user + 5n, 4))
  close()
})

test('a mapping that may not be written is only read', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 4096 })
  bench.call(IOMMU_IOAS_MAP, { ioas_id: bench.ioas, user_va: user, length: PAGE, iova: START, flags: 5 })
  const { rw, pin, close } = access(bench)
  expect([rw(START, 8n, user, 0), rw(START, 8n, user, 1)]).toEqual(['ok', 'EPERM'])
  expect([ending(() => pin(START, PAGE, user)), ending(() => pin(START, PAGE, user, 1))]).toEqual(['ok', 'EPERM'])
  close()
})

test('moves to another IOAS: what it pinned in the first one is let go', () => {
  using bench = new MockBench()
  bench.device()
  const bytes = 4n * PAGE
  const user = bench.vmm.mmap({ bytes, shared: true })
  const [first, second] = [bench.newIoas(), bench.newIoas()]
  const { pin, unpin, replace, close } = access(bench, first)
  const { hwpt } = bench.device()
  const copy = (src_ioas_id: number, src_iova: bigint): void =>
    void bench.call(IOMMU_IOAS_COPY, {
      flags: 3,
      dst_ioas_id: bench.ioas,
      dst_iova: START,
      length: bytes,
      src_ioas_id,
      src_iova,
    })
  const at = bench.map(user, bytes, undefined, first)
  const old = pin(at, bytes, user)
  copy(first, at)
  bench.checkMap(hwpt, START, bytes, user)
  const other = bench.map(user, bytes, undefined, second)
  expect([replace(99), replace(second), unpin(old)]).toEqual(['ENOENT', 'ok', 'ENOENT'])
  bench.unmap(START, bytes)
  bench.destroy(first)
  const now = pin(other, bytes, user)
  copy(second, other)
  bench.checkMap(hwpt, START, bytes, user)
  expect(unpin(now)).toBe('ok')
  close()
  bench.destroy(second)
})

test('its file outlives the descriptors of the context', () => {
  using bench = new MockBench()
  const user = bench.vmm.mmap({ bytes: 4096 })
  bench.map(user, PAGE, START)
  const { pin, close } = access(bench)
  pin(START, PAGE, user)
  bench.vmm.close(bench.fd)
  bench.sound()
  expect(bench.host.get(UserFrames).pinned).toBe(1)
  close()
  expect(bench.host.get(UserFrames).pinned).toBe(0)
})
