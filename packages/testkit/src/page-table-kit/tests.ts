/** What every page table must do, as one test per sentence. */
import { flushGather, pageRuns } from '@ioasis/core'
import { expect } from 'vitest'
import { BOTH, errnoOf, type TableBench, TARGET } from './bench.ts'

/** Title to test. */
export const PAGE_TABLE_TESTS: Readonly<Record<string, (b: TableBench) => void>> = {
  'an empty table leads nowhere and is one page'(b) {
    expect(b.table.tablePages).toBe(1)
    expect(b.table.lookup(b.table.aperture.first)).toBeUndefined()
    expect(b.table.lookup(b.table.aperture.last)).toBeUndefined()
    expect(b.leaves).toEqual([])
  },
  'each page leads where its run says, byte for byte'(b) {
    b.map(b.at(-1), [TARGET + 5 * b.page, b.page], [TARGET + b.page, 2 * b.page])
    expect(b.table.lookup(b.at(-1))).toBe(TARGET + 5 * b.page)
    expect(b.table.lookup(b.at(0) - 1n)).toBe(TARGET + 6 * b.page - 1)
    expect(b.table.lookup(b.at(0))).toBe(TARGET + b.page)
    expect(b.table.lookup(b.at(1) + 0x123n)).toBe(TARGET + 2 * b.page + 0x123)
    expect(b.table.lookup(b.at(2))).toBeUndefined()
    expect(b.table.lookup(b.at(-1) - 1n)).toBeUndefined()
  },
  'the first and the last page of the aperture can be mapped'(b) {
    const last = b.table.aperture.last - BigInt(b.page) + 1n
    b.map(0n, [TARGET, b.page])
    b.map(last, [TARGET + b.page, b.page])
    expect(b.table.lookup(0n)).toBe(TARGET)
    expect(b.table.lookup(b.table.aperture.last)).toBe(TARGET + 2 * b.page - 1)
    expect(b.unmap(last, b.page)).toBe(BigInt(b.page))
    expect(b.unmap(0n, b.page)).toBe(BigInt(b.page))
    expect(b.table.tablePages).toBe(1)
  },
  'targets on both sides of 4 GiB are told apart'(b) {
    b.map(b.at(3), [0x1_0000_0000 - b.page, 2 * b.page])
    expect(b.table.lookup(b.at(3))).toBe(0x1_0000_0000 - b.page)
    expect(b.table.lookup(b.at(4))).toBe(0x1_0000_0000)
  },
  'the largest page is taken that iova, target and length allow'(b) {
    const run = [TARGET - b.page, 2 * b.large + 3 * b.page] as const
    b.map(b.at(-1), run)
    expect(b.leaves).toEqual(b.expectedLeaves(b.at(-1), run))
  },
  'the largest page of all is taken, beside smaller ones'(b) {
    const size = Math.max(b.sizes[0] as number, 4 * b.page)
    const run = [TARGET - b.page, size + 2 * b.page] as const
    const first = BigInt(size) - BigInt(b.page)
    b.map(first, run)
    expect(b.leaves).toEqual(b.expectedLeaves(first, run))
    expect(b.table.lookup(BigInt(size) + BigInt(size - 1))).toBe(TARGET + size - 1)
    expect(b.unmap(first, run[1])).toBe(BigInt(run[1]))
    expect(b.table.tablePages).toBe(1)
  },
  'a target that is not aligned like its iova gets small pages'(b) {
    const run = [TARGET + b.page, b.large] as const
    b.map(b.middle, run)
    expect(b.leaves).toEqual(b.expectedLeaves(b.middle, run))
  },
  'runs that only look like one large page are kept apart'(b) {
    const half = Math.max(b.large / 2, b.page)
    const runs = [
      [TARGET + half, half],
      [TARGET, half],
      [TARGET, 2 * b.large],
      [TARGET + 7 * b.page, b.page],
    ] as const
    b.map(b.middle, ...runs)
    expect(b.leaves).toEqual(b.expectedLeaves(b.middle, ...runs))
  },
  'a page may be written to only if it was mapped so'(b) {
    const seen: [bigint, boolean][] = []
    b.table.map(b.at(0), pageRuns([TARGET, b.page]), { read: true, write: false })
    b.table.map(b.at(1), pageRuns([TARGET, b.page]), BOTH)
    b.table.leaves((iova, _, __, writable) => seen.push([(iova - b.middle) / BigInt(b.page), writable]))
    expect(new Map(seen)).toEqual(
      new Map([
        [0n, false],
        [1n, true],
      ]),
    )
  },
  'a mapping that nobody may use is refused with EINVAL'(b) {
    expect(errnoOf(() => b.table.map(b.at(0), pageRuns([TARGET, b.page]), { read: false, write: false }))).toBe(
      'EINVAL',
    )
    expect(b.table.tablePages).toBe(1)
  },
  'a range that is taken at its end is refused with EADDRINUSE and nothing changes'(b) {
    b.map(b.at(3), [TARGET, b.page])
    const before = b.state
    expect(errnoOf(() => b.map(b.at(-5), [TARGET, 4 * b.page], [TARGET, 6 * b.page]))).toBe('EADDRINUSE')
    expect(b.state).toEqual(before)
  },
  'a large page is refused with EADDRINUSE over a small one and under a small one'(b) {
    b.map(b.at(1), [TARGET, b.page])
    const before = b.state
    expect(errnoOf(() => b.map(b.middle, [TARGET, b.large], [TARGET, b.large]))).toBe('EADDRINUSE')
    expect(b.state).toEqual(before)
    b.unmap(b.at(1), b.page)
    b.map(b.middle, [TARGET, 2 * b.large])
    const large = b.state
    expect(errnoOf(() => b.map(b.at(1), [TARGET, b.page]))).toBe('EADDRINUSE')
    expect(b.state).toEqual(large)
  },
  'a failed allocation leaves nothing of a map behind'(b) {
    b.map(b.at(-1) - BigInt(2 * b.large), [TARGET, b.page])
    // A table that grows does so now: what it grew by may stay.
    b.map(b.table.aperture.last - BigInt(b.page - 1), [TARGET, b.page])
    const before = b.state
    const after = b.failingEachAllocation(() => b.map(b.at(-1), [TARGET, b.page], [TARGET + b.page, 2 * b.large]))
    expect(after.length).toBeGreaterThan(0)
    expect(after).toEqual(after.map(() => before))
    expect(b.table.lookup(b.at(0))).toBe(TARGET + b.page)
  },
  'a large page cut at both ends keeps what lies outside'(b) {
    const size = Math.max(b.sizes[0] as number, 4 * b.page)
    const first = BigInt(size)
    b.table.map(first, pageRuns([TARGET, size]), { read: true, write: false })
    expect(b.unmap(first + BigInt(b.page), size - 2 * b.page)).toBe(BigInt(size - 2 * b.page))
    expect(b.table.lookup(first + BigInt(b.page - 1))).toBe(TARGET + b.page - 1)
    expect(b.table.lookup(first + BigInt(b.page))).toBeUndefined()
    expect(b.table.lookup(first + BigInt(size - b.page - 1))).toBeUndefined()
    expect(b.table.lookup(first + BigInt(size - b.page))).toBe(TARGET + size - b.page)
    const writable = new Set<boolean>()
    b.table.leaves((_, __, ___, may) => writable.add(may))
    expect([...writable]).toEqual([false])
  },
  'a large page with a hole in its middle leads elsewhere only there'(b) {
    const size = Math.max(b.large, 4 * b.page)
    b.map(b.middle, [TARGET, size])
    expect(b.unmap(b.at(1), b.page)).toBe(BigInt(b.page))
    b.map(b.at(1), [TARGET + size, b.page])
    expect([0, 1, 2].map((n) => b.table.lookup(b.at(n)))).toEqual([TARGET, TARGET + size, TARGET + 2 * b.page])
    expect(b.unmap(b.middle, size)).toBe(BigInt(size))
    expect(b.table.tablePages).toBe(1)
  },
  'a split that cannot be allocated leaves all mapped'(b) {
    const size = Math.max(b.sizes[0] as number, 4 * b.page)
    const first = BigInt(size)
    b.map(first, [TARGET, size])
    const after = b.failingEachAllocation(
      () => void b.table.unmap(first + BigInt(b.page), BigInt(size - 2 * b.page), flushGather()),
      () => [
        b.leaves.reduce((sum, leaf) => sum + leaf.bytes, 0n),
        b.table.lookup(first),
        b.table.lookup(2n * first - 1n),
      ],
    )
    expect(after).toEqual(after.map(() => [BigInt(size), TARGET, TARGET + size - 1]))
  },
  'unmapping skips holes and counts what was there'(b) {
    b.map(b.at(0), [TARGET, b.page])
    b.map(b.at(7), [TARGET, 2 * b.page])
    const gather = flushGather()
    expect(b.table.unmap(b.at(-9), BigInt(40 * b.page), gather)).toBe(BigInt(3 * b.page))
    expect(gather.granule).toBe(b.sizes.find((size) => size <= b.page))
    expect(gather.first).toBeLessThanOrEqual(b.at(0))
    expect(gather.last).toBeGreaterThanOrEqual(b.at(9) - 1n)
    b.table.release(gather)
    expect(b.table.tablePages).toBe(1)
  },
  'unmapping nothing gathers nothing'(b) {
    const gather = flushGather()
    expect(b.table.unmap(0n, BigInt(b.page), gather)).toBe(0n)
    expect(gather).toEqual(flushGather())
  },
  'a table whose last page goes waits in the gather until it is released'(b) {
    const root = b.pages.allocated
    b.map(b.at(0), [TARGET, b.page])
    const full = b.pages.allocated
    const gather = flushGather()
    b.table.unmap(b.at(0), BigInt(b.page), gather)
    expect(gather.tables).toHaveLength((full - root) / root)
    expect(b.pages.allocated).toBe(full)
    b.table.release(gather)
    expect(gather.tables).toEqual([])
    expect(b.pages.allocated).toBe(root)
  },
  'one gather serves several unmaps'(b) {
    b.map(b.at(0), [TARGET, b.page])
    b.map(b.at(5), [TARGET, b.page])
    const gather = flushGather()
    b.table.unmap(b.at(5), BigInt(b.page), gather)
    b.table.unmap(b.at(0), BigInt(b.page), gather)
    expect([gather.first, gather.last]).toEqual([b.at(0), b.at(6) - 1n])
  },
  'freeing a table gives all pages back'(b) {
    b.map(b.at(-1), [TARGET, 2 * b.page])
    b.map(0n, [TARGET, 2 * b.large])
    b.table.free()
    expect(b.pages.allocated).toBe(0)
  },
}
