/**
 * Which pages of a piece of memory are pinned, and by how many they are covered.
 *
 * Invariants: spans never overlap and lie in order; each counts those who cover it, and is given back with the last one.
 */
import { type Hpa, PageRunList, type PageRuns } from '@ioasis/core'

/** Consecutive pages that the same areas and accesses cover. Indexes count pages from the beginning of the piece. */
export interface Span {
  readonly first: number
  readonly last: number
  users: number
  /** Host memory of the first page; of all of it, where it lies together. */
  readonly hpa: Hpa
  /** Where it does not. */
  readonly runs: PageRuns | undefined
}

/** Spans that fit on the stack. */
const FEW = 1024

/** Pages in a span. */
export const pagesOf = (span: Span): number => span.last - span.first + 1

/** A span that one covers, of host memory in a list that may be reused. */
export function spanOf(first: number, last: number, runs: PageRunList): Span {
  return { first, last, users: 1, hpa: runs.hpa[0] as number, runs: runs.count === 1 ? undefined : runs.copy() }
}

/** The spans of one piece of memory. */
export class PinnedSpans {
  #list: Span[] = []
  readonly #pageBytes: number

  /** @param only the span to begin with */
  constructor(pageBytes: number, only?: Span) {
    this.#pageBytes = pageBytes
    if (only) this.#list.push(only)
  }

  /** Pages in all spans. */
  get pages(): number {
    return this.#list.reduce((sum, span) => sum + pagesOf(span), 0)
  }
  /** Parts of [first, last] that no span holds, in order. */
  holes(first: number, last: number): readonly { readonly first: number; readonly last: number }[] {
    const found: { first: number; last: number }[] = []
    let at = first
    for (let i = this.#indexOf(first); at <= last; i++) {
      const span = this.#list[i]
      if (!span || span.first > last) {
        found.push({ first: at, last })
        break
      }
      if (span.first > at) found.push({ first: at, last: span.first - 1 })
      at = span.last + 1
    }
    return found
  }
  /** One more covers [first, last]; `fresh` are the spans that fill its holes. */
  cover(first: number, last: number, fresh: readonly Span[]): void {
    if (this.#list.length === 0) {
      this.#list.push(...fresh)
      return
    }
    this.#cut(first)
    this.#cut(last + 1)
    const from = this.#indexOf(first)
    const to = this.#indexOf(last + 1)
    const here = this.#list.slice(from, to)
    for (const span of here) span.users++
    if (fresh.length > 0)
      this.#replace(
        from,
        to,
        [...here, ...fresh].toSorted((a, b) => a.first - b.first),
      )
  }
  /** One less covers [first, last]. @returns spans that nobody covers any more; they are gone from here */
  uncover(first: number, last: number): readonly Span[] {
    this.#cut(first)
    this.#cut(last + 1)
    const from = this.#indexOf(first)
    const to = this.#indexOf(last + 1)
    const here = this.#list.slice(from, to)
    for (const span of here) span.users--
    const gone = here.filter((span) => span.users === 0)
    if (gone.length > 0)
      this.#replace(from, to, gone.length === here.length ? [] : here.filter((span) => span.users > 0))
    return gone
  }
  /** Appends host memory: `bytes` from `offset` in page `page` on, all of it covered. */
  collect(page: number, offset: number, bytes: number, into: PageRunList): void {
    let left = bytes
    let skip = offset
    let at = page
    for (let i = this.#indexOf(page); left > 0; i++) {
      const span = this.#list[i]
      if (!span) throw new Error(`iommufd: page ${at} is mapped and not pinned`)
      const before = (at - span.first) * this.#pageBytes + skip
      left -= appendPart(span, this.#pageBytes, before, left, into)
      skip = 0
      at = span.last + 1
    }
  }

  /** Puts spans in the place of those from index `from` to before `to`. Many are not passed as arguments. */
  #replace(from: number, to: number, spans: readonly Span[]): void {
    if (spans.length <= FEW) this.#list.splice(from, to - from, ...spans)
    else this.#list = this.#list.slice(0, from).concat(spans, this.#list.slice(to))
  }
  /** Index of the first span that ends at or behind a page. */
  #indexOf(page: number): number {
    let from = 0
    let to = this.#list.length
    while (from < to) {
      const mid = (from + to) >>> 1
      if ((this.#list[mid] as Span).last >= page) to = mid
      else from = mid + 1
    }
    return from
  }
  /** Makes a span begin at `page` when one reaches over it. */
  #cut(page: number): void {
    const i = this.#indexOf(page)
    const span = this.#list[i]
    if (!span || span.first >= page) return
    const bytes = (page - span.first) * this.#pageBytes
    const low = new PageRunList()
    const high = new PageRunList()
    appendPart(span, this.#pageBytes, 0, bytes, low)
    appendPart(span, this.#pageBytes, bytes, (span.last - page + 1) * this.#pageBytes, high)
    const left = { ...spanOf(span.first, page - 1, low), users: span.users }
    const right = { ...spanOf(page, span.last, high), users: span.users }
    this.#list.splice(i, 1, left, right)
  }
}

/** Appends up to `bytes` of a span, from byte `before` of it on. @returns bytes appended */
export function appendPart(span: Span, pageBytes: number, before: number, bytes: number, into: PageRunList): number {
  const { runs } = span
  if (!runs) {
    const n = Math.min(bytes, pagesOf(span) * pageBytes - before)
    into.append(span.hpa + before, n)
    return n
  }
  let skip = before
  let left = bytes
  for (let i = 0; i < runs.count && left > 0; i++) {
    const size = runs.bytes[i] as number
    const n = Math.min(left, size - skip)
    if (n > 0) into.append((runs.hpa[i] as number) + skip, n)
    if (n > 0) left -= n
    skip = Math.max(0, skip - size)
  }
  return bytes - left
}
