import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { IntervalMap } from './interval-map.ts'

const TOP = (1n << 64n) - 1n

function filled(...ranges: readonly (readonly [bigint, bigint])[]): IntervalMap<string> {
  const map = new IntervalMap<string>()
  ranges.forEach(([first, last], i) => map.insert(first, last, `v${i}`))
  return map
}

describe('insert', () => {
  test('refuses any overlap and changes nothing', () => {
    const map = filled([0x1000n, 0x1fffn])
    expect(map.insert(0x1fffn, 0x2fffn, 'x')).toBe(false)
    expect(map.insert(0n, 0x1000n, 'x')).toBe(false)
    expect(map.insert(0x1800n, 0x1800n, 'x')).toBe(false)
    expect(map.insert(0n, TOP, 'x')).toBe(false)
    expect([...map.within()]).toEqual([{ first: 0x1000n, last: 0x1fffn, value: 'v0' }])
  })
  test('takes neighbours that touch', () => {
    const map = filled([0x1000n, 0x1fffn], [0x2000n, 0x2fffn], [0n, 0xfffn])
    expect([map.size, map.find(0xfffn), map.find(0x1000n), map.find(0x2000n)]).toEqual([3, 'v2', 'v0', 'v1'])
  })
  test('takes the whole 64 bits and single bytes at both ends', () => {
    expect(filled([0n, TOP]).find(TOP)).toBe('v0')
    const ends = filled([0n, 0n], [TOP, TOP], [1n << 63n, 1n << 63n])
    expect([ends.find(0n), ends.find(1n), ends.find(1n << 63n), ends.find(TOP - 1n), ends.find(TOP)]).toEqual([
      'v0',
      undefined,
      'v2',
      undefined,
      'v1',
    ])
  })
  test('keeps addresses apart that a double would not', () => {
    const map = filled([(1n << 60n) + 1n, (1n << 60n) + 1n])
    expect([map.find(1n << 60n), map.find((1n << 60n) + 1n), map.find((1n << 60n) + 2n)]).toEqual([
      undefined,
      'v0',
      undefined,
    ])
  })
  test('throws for a range that ends before it begins', () => {
    expect(() => filled([2n, 1n])).toThrow(RangeError)
  })
})

describe('looking', () => {
  test('finds the first interval that overlaps a range', () => {
    const map = filled([0x1000n, 0x1fffn], [0x4000n, 0x4fffn])
    expect(map.firstIn(0n, 0xfffn)).toBeUndefined()
    expect(map.firstIn(0x1fffn, TOP)?.value).toBe('v0')
    expect(map.firstIn(0x2000n, 0x4000n)).toEqual({ first: 0x4000n, last: 0x4fffn, value: 'v1' })
    expect(map.firstIn(0x5000n, TOP)).toBeUndefined()
  })
  test('finds the interval that is exactly a range, and no other', () => {
    const map = filled([0x1000n, 0x1fffn], [0x4000n, 0x4fffn])
    expect([map.exact(0x1000n, 0x1fffn), map.exact(0x4000n, 0x4fffn)]).toEqual(['v0', 'v1'])
    const others = [map.exact(0x1000n, 0x1ffen), map.exact(0x1001n, 0x1fffn), map.exact(0n, TOP), map.exact(0n, 0n)]
    expect(others).toEqual([undefined, undefined, undefined, undefined])
    expect(new IntervalMap().exact(0n, TOP)).toBeUndefined()
  })
  test('lists gaps inside a range', () => {
    const map = filled([0x1000n, 0x1fffn], [0x2000n, 0x2fffn], [0x4000n, 0x4fffn])
    expect([...map.gaps(0x800n, 0x4800n)]).toEqual([
      { first: 0x800n, last: 0xfffn },
      { first: 0x3000n, last: 0x3fffn },
    ])
    expect([...map.gaps(0x1000n, 0x2fffn)]).toEqual([])
    expect([...filled([0n, TOP]).gaps()]).toEqual([])
    expect([...new IntervalMap().gaps()]).toEqual([{ first: 0n, last: TOP }])
  })
  test('by words leaves the bounds to be read', () => {
    const map = filled([0xffff_ffff_0000_0000n, 0xffff_ffff_8000_0001n])
    expect(map.findWords(-1, 5)).toBe('v0')
    expect([map.firstHi, map.firstLo, map.lastHi, map.lastLo, map.value]).toEqual([-1, 0, -1, 0x8000_0001 | 0, 'v0'])
    expect(map.findWords(-1, -1)).toBeUndefined()
    expect([map.seekWords(0, 0), map.next()]).toEqual([true, false])
  })
})

describe('remove', () => {
  test('takes the interval that begins exactly there', () => {
    const map = filled([0x1000n, 0x1fffn], [0x2000n, 0x2fffn])
    expect([map.remove(0x1001n), map.remove(0x1000n), map.remove(0x1000n), map.size]).toEqual([
      undefined,
      'v0',
      undefined,
      1,
    ])
    expect([map.find(0x1000n), map.find(0x2000n)]).toEqual([undefined, 'v1'])
  })
  test('of everything, in any order, leaves an empty map that works', () => {
    const map = new IntervalMap<number>()
    for (let i = 0; i < 2000; i++) map.insert(BigInt(i) * 16n, BigInt(i) * 16n + 15n, i)
    for (let i = 0; i < 2000; i++) map.remove(BigInt((i * 7) % 2000) * 16n)
    expect([map.size, map.firstIn(0n, TOP)]).toEqual([0, undefined])
    expect(map.insert(5n, 6n, 1)).toBe(true)
    map.clear()
    expect([map.size, map.find(5n)]).toEqual([0, undefined])
  })
})

interface Step {
  readonly op: 'insert' | 'remove' | 'find' | 'first' | 'list' | 'gaps'
  readonly at: bigint
  readonly bytes: bigint
}
type Entry = { readonly first: bigint; readonly last: bigint; readonly value: number }

/** The same on a sorted array: too simple to be wrong. */
class Oracle {
  entries: readonly Entry[] = []
  insert(first: bigint, last: bigint, value: number): boolean {
    if (this.entries.some((e) => e.first <= last && e.last >= first)) return false
    this.entries = [...this.entries, { first, last, value }].toSorted((a, b) => (a.first < b.first ? -1 : 1))
    return true
  }
  remove(first: bigint): number | undefined {
    const entry = this.entries.find((e) => e.first === first)
    this.entries = this.entries.filter((e) => e !== entry)
    return entry?.value
  }
  gaps(first: bigint, last: bigint): { first: bigint; last: bigint }[] {
    const free: { first: bigint; last: bigint }[] = []
    let at = first
    for (const e of this.entries.filter((x) => x.first <= last && x.last >= first)) {
      if (e.first > at) free.push({ first: at, last: e.first - 1n })
      at = e.last + 1n
    }
    return at <= last ? [...free, { first: at, last }] : free
  }
}

type Run = (
  map: IntervalMap<number>,
  oracle: Oracle,
  at: bigint,
  last: bigint,
  i: number,
) => readonly [unknown, unknown]
const overlapping = (oracle: Oracle, first: bigint, last: bigint): readonly Entry[] =>
  oracle.entries.filter((e) => e.first <= last && e.last >= first)

/** Each operation on the map and on the oracle. */
const RUN: Readonly<Record<Step['op'], Run>> = {
  insert: (map, oracle, at, last, i) => [map.insert(at, last, i), oracle.insert(at, last, i)],
  remove: (map, oracle, at) => {
    const first = oracle.entries[Number(at % BigInt(oracle.entries.length + 1))]?.first ?? at
    return [map.remove(first), oracle.remove(first)]
  },
  find: (map, oracle, at) => [map.find(at), overlapping(oracle, at, at)[0]?.value],
  first: (map, oracle, at, last) => [map.firstIn(at, last), overlapping(oracle, at, last)[0]],
  list: (map, oracle, at, last) => [[...map.within(at, last)], overlapping(oracle, at, last)],
  gaps: (map, oracle, at, last) => [[...map.gaps(at, last)], oracle.gaps(at, last)],
}
const text = (x: unknown): string =>
  JSON.stringify(x, (_, v: unknown) => (typeof v === 'bigint' ? v.toString() : v)) ?? ''
const same = (a: unknown, b: unknown): boolean => text(a) === text(b)

test.each([
  { where: 'crowded', space: 0x4000n, size: 40n },
  { where: 'over all 64 bits', space: TOP, size: 1n << 56n },
])('agrees with a sorted array, $where', ({ space, size }) => {
  const step = fc.record({
    op: fc.constantFrom<Step['op'][]>(
      'insert',
      'insert',
      'insert',
      'insert',
      'remove',
      'find',
      'first',
      'list',
      'gaps',
    ),
    at: fc.bigInt({ min: 0n, max: space }),
    bytes: fc.bigInt({ min: 0n, max: size }),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 600, size: 'max' }), (steps) => {
      const map = new IntervalMap<number>()
      const oracle = new Oracle()
      const wrong = steps.filter(({ op, at, bytes }, i) => {
        const [ours, theirs] = RUN[op](map, oracle, at, at + bytes > TOP ? TOP : at + bytes, i)
        return !same(ours, theirs)
      })
      expect(wrong).toEqual([])
      expect(same([...map.within()], oracle.entries)).toBe(true)
      expect(map.size).toBe(oracle.entries.length)
    }),
    { numRuns: 25 },
  )
})
