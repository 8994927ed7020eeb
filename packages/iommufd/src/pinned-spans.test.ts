import { PageRunList } from '@ioasis/core'
import { expect, test } from 'vitest'
import { PinnedSpans, type Span, spanOf } from './pinned-spans.ts'

const PAGE = 4096
/** A span of pages whose host memory lies at the given page numbers. */
function span(first: number, ...pages: readonly number[]): Span {
  const runs = new PageRunList()
  for (const page of pages) runs.append(page * PAGE, PAGE)
  return spanOf(first, first + pages.length - 1, runs)
}
function collected(spans: PinnedSpans, page: number, offset: number, bytes: number): readonly (readonly number[])[] {
  const runs = new PageRunList()
  spans.collect(page, offset, bytes, runs)
  return Array.from({ length: runs.count }, (_, i) => [runs.hpa[i] as number, runs.bytes[i] as number])
}

test('tells which pages nobody covers', () => {
  const spans = new PinnedSpans(PAGE)
  expect(spans.holes(2, 9)).toEqual([{ first: 2, last: 9 }])
  spans.cover(4, 5, [span(4, 40, 41)])
  spans.cover(7, 7, [span(7, 70)])
  expect(spans.holes(2, 9)).toEqual([
    { first: 2, last: 3 },
    { first: 6, last: 6 },
    { first: 8, last: 9 },
  ])
  expect(spans.holes(4, 5)).toEqual([])
})

test('a page is given back with the last one that covers it', () => {
  const spans = new PinnedSpans(PAGE)
  spans.cover(0, 3, [span(0, 10, 11, 20, 21)])
  spans.cover(1, 2, [])
  expect(spans.uncover(0, 3).map(({ first, last }) => [first, last])).toEqual([
    [0, 0],
    [3, 3],
  ])
  expect(spans.pages).toBe(2)
  expect(spans.uncover(1, 2).map(({ first, hpa, runs }) => [first, hpa, runs?.count])).toEqual([[1, 11 * PAGE, 2]])
  expect(spans.pages).toBe(0)
})

test('host memory is told in runs, from any byte to any byte', () => {
  const spans = new PinnedSpans(PAGE)
  spans.cover(0, 3, [span(0, 10, 11, 20, 21)])
  spans.cover(4, 4, [span(4, 22)])
  expect(collected(spans, 0, 0, 5 * PAGE)).toEqual([
    [10 * PAGE, 2 * PAGE],
    [20 * PAGE, 3 * PAGE],
  ])
  expect(collected(spans, 1, 0x800, PAGE)).toEqual([
    [11 * PAGE + 0x800, 0x800],
    [20 * PAGE, 0x800],
  ])
  expect(collected(spans, 2, 0x10, 1)).toEqual([[20 * PAGE + 0x10, 1]])
})

test('a page that is not covered has no host memory to tell', () => {
  const spans = new PinnedSpans(PAGE)
  spans.cover(0, 0, [span(0, 10)])
  expect(() => collected(spans, 0, 0, 2 * PAGE)).toThrow('not pinned')
})

test('more spans than fit on a stack are covered and given back at once', () => {
  const spans = new PinnedSpans(PAGE)
  const many = 200_000
  for (let i = 0; i < many; i += 2) spans.cover(i, i, [span(i, i + 1)])
  spans.cover(
    0,
    many - 1,
    spans.holes(0, many - 1).map(({ first }) => span(first, first + 1)),
  )
  expect(collected(spans, 0, 0, many * PAGE)).toEqual([[PAGE, many * PAGE]])
  expect(spans.uncover(0, many - 1)).toHaveLength(many / 2)
  expect(spans.pages).toBe(many / 2)
})
