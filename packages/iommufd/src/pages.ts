/**
 * A linear piece of memory that areas map: pinned while a domain or an access covers it, shared by all areas that COPY or a
 * split made of one mapping, pinned and charged once. Facts: drivers/iommu/iommufd/pages.c.
 *
 * Invariants: a page is pinned exactly while some area with a domain, or some access, covers it. What is pinned is charged;
 * a refusal leaves neither.
 */
import { type PageRunList, unpinPages } from '@ioasis/core'
import { type AccountMode, charge, type PagesOwner, uncharge } from './accounting.ts'
import { appendPart, pagesOf, PinnedSpans, type Span, spanOf } from './pinned-spans.ts'

const ACCOUNTS: readonly AccountMode[] = ['none', 'user', 'mm']
const WRITABLE = 4

/** Memory of one kind of source; the subclass knows how to pin it. There may be millions, so it holds little. */
export abstract class Pages {
  /** Areas and calls that hold it. */
  holders = 1
  /** Pages pinned and charged now. */
  pinned = 0
  /** Writable, and the way it is charged. */
  readonly #mode: number
  #owner: PagesOwner
  /** Nearly all pages are covered as one, and then need no list. */
  #spans: Span | PinnedSpans | undefined = undefined

  constructor(owner: PagesOwner, options: { readonly writable: boolean; readonly account: AccountMode }) {
    this.#owner = owner
    this.#mode = ACCOUNTS.indexOf(options.account) + (options.writable ? WRITABLE : 0)
  }

  /**
   * Pins `count` pages from `index` on, as many as come in one go.
   * @returns pages pinned, at least 1
   * @throws UapiError EFAULT, EINVAL, ENOMEM when not even the first can be had
   */
  protected abstract pin(index: number, count: number, into: PageRunList): number
  /** Where the memory comes from: a user address, a file, device memory that is not pinned. */
  abstract get kind(): 'user' | 'file' | 'dma-buf'
  /** Address or offset of the first page at its source: what its alignment is judged by. */
  abstract get origin(): bigint
  /** The last holder is gone. */
  protected abstract forget(): void

  get writable(): boolean {
    return (this.#mode & WRITABLE) !== 0
  }
  get account(): AccountMode {
    return ACCOUNTS[this.#mode & 3] as AccountMode
  }
  /** Who mapped it, or took it over (IOMMU_IOAS_CHANGE_PROCESS). */
  get owner(): PagesOwner {
    return this.#owner
  }
  /** Pages that somebody covers: an audit counter, as many as are pinned. */
  get covered(): number {
    if (this.#spans instanceof PinnedSpans) return this.#spans.pages
    return this.#spans ? pagesOf(this.#spans) : 0
  }
  /** Another area or call. */
  hold(): this {
    this.holders++
    return this
  }
  /** An area or call is done with it. */
  release(): void {
    if (--this.holders > 0) return
    if (this.pinned !== 0) throw new Error(`iommufd: ${this.pinned} pages are still pinned when their last area goes`)
    this.forget()
  }
  /** A table has an area of it; it is asked to take the pages out when they are taken back. */
  mappedIn(_table: { takeOut(pages: Pages): void }): void {}
  /** Another process pays from now on, and was charged already. */
  changeOwner(owner: PagesOwner): void {
    uncharge(this.#owner, this.account, this.pinned)
    this.#owner = owner
  }

  /**
   * Pages [first, last] are needed by one more: what nobody covered is pinned and charged.
   * @throws UapiError EFAULT, EINVAL, ENOMEM; nothing has changed then
   */
  cover(first: number, last: number): void {
    if (!this.#spans) {
      const span = this.#pinSpan(first, last)
      this.#chargeFor([span])
      this.#spans = span
      return
    }
    const spans = this.#list()
    const fresh = this.#pinHoles(spans, first, last)
    this.#chargeFor(fresh)
    spans.cover(first, last, fresh)
  }
  /**
   * Keeps pages [first, last] while `use` runs. What is pinned for that is not charged, as Linux does for a copy.
   * @throws UapiError as `cover`
   */
  whileKept(first: number, last: number, use: () => void): void {
    const spans = this.#list()
    spans.cover(first, last, this.#pinHoles(spans, first, last))
    try {
      use()
    } finally {
      for (const span of spans.uncover(first, last)) this.#unpin(span)
    }
  }
  /** One less needs [first, last]: what nobody else covers is unpinned. It must be unmapped and flushed everywhere. */
  uncover(first: number, last: number): void {
    const only = this.#spans
    if (only && !(only instanceof PinnedSpans) && only.users === 1 && only.first === first && only.last === last) {
      this.#spans = undefined
      this.#giveBack(only)
    } else for (const span of this.#list().uncover(first, last)) this.#giveBack(span)
  }
  /**
   * Appends host memory of a covered part.
   * @param page index of the first page
   * @param offset bytes into it
   * @param bytes how many
   */
  collect(page: number, offset: number, bytes: number, into: PageRunList): void {
    const spans = this.#spans
    const { pageBytes } = this.#owner.addressSpace
    if (spans instanceof PinnedSpans) spans.collect(page, offset, bytes, into)
    else if (spans) appendPart(spans, pageBytes, (page - spans.first) * pageBytes + offset, bytes, into)
  }

  #list(): PinnedSpans {
    if (this.#spans instanceof PinnedSpans) return this.#spans
    return (this.#spans = new PinnedSpans(this.#owner.addressSpace.pageBytes, this.#spans))
  }
  /** @throws UapiError ENOMEM, EINVAL; the spans are unpinned then */
  #chargeFor(fresh: readonly Span[]): void {
    let pages = 0
    for (const span of fresh) pages += pagesOf(span)
    try {
      if (pages > 0) charge(this.#owner, this.account, pages)
    } catch (error) {
      for (const span of fresh) this.#unpin(span)
      throw error
    }
    this.pinned += pages
  }
  #giveBack(span: Span): void {
    this.#unpin(span)
    this.pinned -= pagesOf(span)
    uncharge(this.#owner, this.account, pagesOf(span))
  }
  /** Pins what nobody covers; all of it or nothing. */
  #pinHoles(spans: PinnedSpans, first: number, last: number): readonly Span[] {
    const fresh: Span[] = []
    try {
      for (const hole of spans.holes(first, last)) {
        fresh.push(this.#pinSpan(hole.first, hole.last))
      }
    } catch (error) {
      for (const span of fresh) this.#unpin(span)
      throw error
    }
    return fresh
  }
  #pinSpan(first: number, last: number): Span {
    const { scratch, addressSpace } = this.#owner
    scratch.clear()
    try {
      for (let at = first; at <= last;) at += this.pin(at, last - at + 1, scratch)
    } catch (error) {
      unpinPages(addressSpace.frames, scratch)
      throw error
    }
    return spanOf(first, last, scratch)
  }
  #unpin(span: Span): void {
    const { frames, pageBytes } = this.#owner.addressSpace
    if (span.runs) unpinPages(frames, span.runs)
    else frames.unpin(span.hpa, pagesOf(span) * pageBytes)
  }
}
