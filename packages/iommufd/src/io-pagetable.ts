/**
 * The iovas of one IOAS: areas, fanned out to every domain; what is reserved and allowed; alignment.
 * Facts: drivers/iommu/iommufd/io_pagetable.c.
 *
 * Invariants: with at least one domain, every area is mapped in every domain and its pages are covered once for all of them.
 * Nothing is unpinned before it was unmapped and flushed in all domains.
 */
import type { Errno, FailurePoints, FlushGather, Interval, IntervalMap, Iova, PagingDomain } from '@ioasis/core'
import { Area, type Slice } from './area.ts'
import { DomainFill } from './domain-fill.ts'
import { IovaSpace, refuse } from './iova-space.ts'
import type { Pages } from './pages.ts'
import { MAP_FLAG, U64_MAX } from './uapi.ts'

/** An emulated device that uses the IOAS. */
export interface IoPageTableUser {
  /** Bytes its iovas must be aligned to. */
  readonly alignment: number
  /** A range goes away: its pins must be given back before this returns. */
  unmapped(first: Iova, bytes: bigint): void
}

/** What an unmap did. A refusal does not take back what went before it. */
export interface Unmapped {
  readonly bytes: bigint
  readonly errno: Errno | undefined
}

type Placed = Interval<Area>
const NONE: Placed[] = []
const NO_GATHERS: readonly FlushGather[] = []

/** Areas of an IOAS, and the domains that hold them. */
export class IoPageTable {
  /** Where areas can be. */
  readonly iovas: IovaSpace
  readonly #fill: DomainFill
  readonly #users = new Set<IoPageTableUser>()
  /** Areas that hardware uses by host address, and how often: few, so that areas need no room for it. */
  readonly #locks = new Map<Area, number>()
  #largePages = true

  readonly #failures: FailurePoints | undefined

  /** @param pageBytes of the CPU @param failures where making an area may fail */
  constructor(pageBytes: number, failures?: FailurePoints) {
    this.#failures = failures
    this.iovas = new IovaSpace(pageBytes, failures)
    this.#fill = new DomainFill(pageBytes)
  }

  get areas(): IntervalMap<Area> {
    return this.iovas.areas
  }
  get domains(): readonly PagingDomain[] {
    return this.#fill.domains
  }
  /** Whether domains may use pages larger than the CPU's (IOMMU_OPTION_HUGE_PAGES). */
  get largePages(): boolean {
    return this.#largePages
  }
  /**
   * Maps slices one behind the other; each area takes a hold on its pages.
   * @param iova undefined: the lowest place that fits
   * @returns where
   * @throws UapiError in the order Linux checks; nothing has changed then
   */
  map(slices: readonly Slice[], bytes: bigint, iova: Iova | undefined, rights: number): Iova {
    if (bytes === 0n || !this.iovas.isAligned(bytes)) refuse('EINVAL', { bytes })
    const at = iova ?? this.iovas.place(slices[0] as Slice, bytes)
    if (iova !== undefined) this.iovas.check(iova, bytes)
    const placed: Placed[] | undefined = this.domains.length > 0 ? [] : undefined
    let next = at
    try {
      for (const slice of slices) {
        const value = this.#insert(slice, next, rights)
        placed?.push({ first: next, last: next + slice.bytes - 1n, value })
        next += slice.bytes
      }
      if (placed) this.#fillNew(placed)
    } catch (error) {
      for (let first = at, i = 0; first < next; i++) {
        this.areas.remove(first)
        first += (slices[i] as Slice).bytes
      }
      this.iovas.emptied(at)
      throw error
    }
    for (const { pages } of slices) pages.hold().mappedIn(this)
    return at
  }
  /** The source of some pages takes them back: they go out of all domains, their areas stay. */
  takeOut(pages: Pages): void {
    for (const area of this.areas.within()) if (area.value.pages === pages) this.#fill.take(area)
  }

  /**
   * Removes the area that is exactly [first, last], where it is in nobody's use.
   * @returns whether there was one; else nothing has changed
   */
  unmapWhole(first: Iova, last: Iova): boolean {
    const value = this.areas.exact(first, last)
    if (value?.accesses !== 0 || this.#locks.size > 0) return false
    this.areas.remove(first)
    this.iovas.emptied(first)
    if (this.domains.length > 0) this.#fill.drop({ first, last, value })
    value.pages.release()
    return true
  }
  /** Removes all areas within [first, last]; a locked one ends the call with EBUSY, one that reaches out of it with ENOENT. */
  unmap(first: Iova, last: Iova): Unmapped {
    let removed: Placed[] = NONE
    const gathers = this.domains.length > 0 ? this.#fill.gathers() : NO_GATHERS
    let bytes = 0n
    let errno: Errno | undefined
    for (let tries = 0; ;) {
      const area = this.areas.firstIn(first, last)
      if (!area) break
      if (this.#locks.size > 0 && this.#locks.has(area.value)) {
        errno = 'EBUSY'
        break
      }
      if (area.first < first || area.last > last) {
        errno = 'ENOENT'
        break
      }
      if (area.value.accesses > 0) {
        if (++tries > 100) throw new Error('iommufd: an access does not let go of an area that is unmapped')
        this.#close(removed, gathers)
        removed = NONE
        this.#tellUsers(area)
        continue
      }
      tries = 0
      this.areas.remove(area.first)
      this.iovas.emptied(area.first)
      this.#fill.unmap(area, gathers)
      // An array that grows from nothing has room for many; most calls remove one.
      if (removed === NONE) removed = [area]
      else removed.push(area)
      bytes += area.last - area.first + 1n
      if (area.last >= last) break
    }
    this.#close(removed, gathers)
    return { bytes, errno }
  }

  /**
   * The slices that [first, first + bytes) consists of; each is held, and released by the caller.
   * @throws UapiError EINVAL, EOVERFLOW; ENOENT when part of it is not mapped
   */
  slices(first: Iova, bytes: bigint): readonly Slice[] {
    if (bytes === 0n) refuse('EINVAL', { bytes })
    const last = first + bytes - 1n
    if (last > U64_MAX) refuse('EOVERFLOW', { iova: first, bytes })
    const found: Slice[] = []
    for (const area of this.contiguous(first, last)) {
      const from = area.first > first ? area.first : first
      const to = area.last < last ? area.last : last
      const { page, offset } = area.value.from(from - area.first)
      found.push({ pages: area.value.pages, page, offset, bytes: to - from + 1n })
    }
    for (const { pages } of found) pages.hold()
    return found
  }
  /** The areas that cover [first, last] without a hole. @throws UapiError ENOENT */
  contiguous(first: Iova, last: Iova): readonly Placed[] {
    const found = [...this.areas.within(first, last)]
    let next = first
    for (const area of found) {
      if (area.first > next) break
      next = area.last + 1n
    }
    if (next <= last) refuse('ENOENT', { first, last })
    return found
  }

  /**
   * A domain joins: it narrows the usable iovas to its aperture, and all areas are mapped in it.
   * @throws UapiError EINVAL, EADDRINUSE, EFAULT, ENOMEM; nothing has changed then
   */
  addDomain(domain: PagingDomain): void {
    const alignment = Math.max(smallestPage(domain), this.iovas.alignment)
    if (alignment > this.iovas.pageBytes) refuse('EINVAL', { alignment })
    if (alignment !== this.iovas.alignment) this.iovas.requireAlignment(alignment)
    const { first, last } = domain.aperture
    try {
      if (first !== 0n) this.iovas.reserve(0n, first - 1n, domain)
      if (last !== U64_MAX) this.iovas.reserve(last + 1n, U64_MAX, domain)
      this.#fill.add(domain, this.areas, this.#largePages)
    } catch (error) {
      this.iovas.unreserve(domain)
      throw error
    }
    this.iovas.alignment = alignment
  }
  /** It leaves, emptied. @throws Error when it is not here */
  removeDomain(domain: PagingDomain): void {
    this.#fill.remove(domain, this.areas)
    this.iovas.unreserve(domain)
    this.#align()
  }

  /** An emulated device joins. @throws UapiError EADDRINUSE when an area is not aligned as it needs */
  addUser(user: IoPageTableUser): void {
    this.#users.add(user)
    try {
      this.#align()
    } catch (error) {
      this.#users.delete(user)
      throw error
    }
  }
  removeUser(user: IoPageTableUser): void {
    this.#users.delete(user)
    this.#align()
  }

  /** @throws UapiError EINVAL when a domain has pages already; EADDRINUSE when an area is not aligned to a page */
  setLargePages(on: boolean): void {
    if (!on && this.#largePages && this.domains.length > 0 && this.areas.size > 0) refuse('EINVAL', {})
    const before = this.#largePages
    this.#largePages = on
    try {
      this.#align()
    } catch (error) {
      this.#largePages = before
      throw error
    }
  }

  /** One more or one less uses the area by host address: it cannot be unmapped meanwhile. */
  lock(area: Area, by: 1 | -1): void {
    const count = (this.#locks.get(area) ?? 0) + by
    if (count > 0) this.#locks.set(area, count)
    else this.#locks.delete(area)
  }
  /** Where the n-th area begins, counted from 0 by iova. */
  nthArea(n: number): Iova | undefined {
    let left = n
    for (const { first } of this.areas.within()) if (left-- === 0) return first
    return undefined
  }

  /**
   * Cuts the area that holds `last` behind it: type1 v1 removes parts of mappings. Without large pages areas lie on whole
   * pages, so the parts share none.
   * @throws UapiError EBUSY, EOPNOTSUPP, EINVAL when the area cannot be cut there; ENOMEM
   */
  cutBehind(last: Iova): void {
    const area = this.areas.firstIn(last, last)
    if (!area || last === area.first || last === area.last) return
    const { value } = area
    const start = last + 1n
    if (value.closing) refuse('EBUSY', { last })
    if (value.pages.kind === 'dma-buf') refuse('EOPNOTSUPP', { last })
    const right = value.from(start - area.first)
    const mask = BigInt(this.iovas.alignment - 1)
    if ((start & mask) !== 0n || (right.offset & (this.iovas.alignment - 1)) !== 0) refuse('EINVAL', { last })
    this.#failures?.pass('iommufd area')
    if (value.accesses > 0 || (this.domains.length > 0 && this.#largePages)) refuse('EINVAL', { last })
    this.areas.remove(area.first)
    this.areas.insert(area.first, last, new Area(value.pages, value.page, value.offset, value.rights))
    this.areas.insert(start, area.last, right)
    value.pages.hold()
  }

  #insert({ pages, page, offset, bytes }: Slice, first: Iova, rights: number): Area {
    if ((rights & MAP_FLAG.WRITEABLE) !== 0 && !pages.writable) refuse('EPERM', { iova: first })
    if ((offset & (this.iovas.alignment - 1)) !== 0) refuse('EINVAL', { offset })
    this.#failures?.pass('iommufd area')
    const area = new Area(pages, page, offset, rights)
    this.areas.insert(first, first + bytes - 1n, area)
    return area
  }
  #fillNew(placed: readonly Placed[]): void {
    const done: Placed[] = []
    try {
      for (const area of placed) {
        this.#fill.map(area, this.#largePages)
        done.push(area)
      }
    } catch (error) {
      for (const area of done) this.#fill.drop(area)
      throw error
    }
  }
  /** Flushes, then lets go of the pages: never the other way round. */
  #close(removed: readonly Placed[], gathers: readonly FlushGather[]): void {
    if (removed.length === 0) return
    this.#fill.sync(gathers)
    for (const area of removed) {
      this.#fill.uncover(area)
      area.value.pages.release()
    }
  }
  #tellUsers({ first, last, value }: Placed): void {
    value.close()
    for (const user of this.#users) user.unmapped(first, last - first + 1n)
  }
  /** iopt_calculate_iova_alignment. */
  #align(): void {
    let alignment = this.#largePages ? 1 : this.iovas.pageBytes
    for (const domain of this.domains) alignment = Math.max(alignment, smallestPage(domain))
    for (const user of this.#users) alignment = Math.max(alignment, user.alignment)
    if (alignment > this.iovas.alignment) this.iovas.requireAlignment(alignment)
    this.iovas.alignment = alignment
  }
}

const smallestPage = (domain: PagingDomain): number => Number(domain.pageSizes & -domain.pageSizes)
