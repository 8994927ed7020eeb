/** Areas put into the domains of an IOAS, and taken out: pages covered once for all domains. drivers/iommu/iommufd/pages.c. */
import {
  type FlushGather,
  flushGather,
  type Interval,
  type IntervalMap,
  PageRunList,
  type PageRuns,
  type PagingDomain,
} from '@ioasis/core'
import { type Area, protOf } from './area.ts'

type Placed = Interval<Area>

const bytesOf = ({ first, last }: Placed): bigint => last - first + 1n

/** The domains of one IOAS. */
export class DomainFill {
  /** In the order they joined; the last one takes the place of one that leaves, as in Linux. */
  readonly domains: PagingDomain[] = []
  readonly #pageBytes: number
  readonly #runs = new PageRunList()

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes
  }

  /** Covers a new area's pages and maps it in all domains. @throws UapiError EFAULT, EINVAL, ENOMEM; nothing has changed then */
  map(area: Placed, largePages: boolean): void {
    this.#cover(area)
    let done = 0
    try {
      for (; done < this.domains.length; done++) this.#mapIn(this.domains[done] as PagingDomain, area, largePages)
    } catch (error) {
      for (const domain of this.domains.slice(0, done)) take(domain, area)
      this.uncover(area)
      throw error
    }
  }
  /** One for each domain, to be synced. */
  gathers(): readonly FlushGather[] {
    return this.domains.map(flushGather)
  }
  /** Takes an area out of all domains, into the gathers. */
  unmap(area: Placed, gathers: readonly FlushGather[]): void {
    for (let i = 0; i < this.domains.length; i++) {
      ;(this.domains[i] as PagingDomain).unmap(area.first, bytesOf(area), gathers[i] as FlushGather)
    }
  }
  /** Flushes all domains. */
  sync(gathers: readonly FlushGather[]): void {
    for (let i = 0; i < this.domains.length; i++) (this.domains[i] as PagingDomain).sync(gathers[i] as FlushGather)
  }
  /** Lets go of an area's pages; it must be out of all domains, and flushed. */
  uncover(area: Placed): void {
    if (this.domains.length > 0) uncover(area)
  }
  /** Takes an area out of all domains, and flushes them. */
  take(area: Placed): void {
    for (const domain of this.domains) take(domain, area)
  }
  /** The same, and lets go of its pages. */
  drop(area: Placed): void {
    this.take(area)
    this.uncover(area)
  }

  /** A domain joins: all areas are mapped in it. @throws UapiError; it did not join then */
  add(domain: PagingDomain, areas: IntervalMap<Area>, largePages: boolean): void {
    const isFirst = this.domains.length === 0
    const done: Placed[] = []
    try {
      for (const area of areas.within()) {
        if (isFirst) this.#cover(area)
        try {
          this.#mapIn(domain, area, largePages)
        } catch (error) {
          if (isFirst) uncover(area)
          throw error
        }
        done.push(area)
      }
    } catch (error) {
      for (const area of done) {
        take(domain, area)
        if (isFirst) uncover(area)
      }
      throw error
    }
    this.domains.push(domain)
  }
  /** It leaves. @throws Error when it is not here */
  remove(domain: PagingDomain, areas: IntervalMap<Area>): void {
    const index = this.domains.indexOf(domain)
    if (index < 0) throw new Error('iommufd: a domain leaves an IOAS it is not in')
    const last = this.domains.pop() as PagingDomain
    if (last !== domain) this.domains[index] = last
    const gather = flushGather()
    for (const area of areas.within()) domain.unmap(area.first, bytesOf(area), gather)
    domain.sync(gather)
    if (this.domains.length === 0) for (const area of areas.within()) uncover(area)
  }

  #cover({ first, last, value }: Placed): void {
    value.pages.cover(value.page, value.pageAt(Number(last - first)))
  }
  #mapIn(domain: PagingDomain, area: Placed, largePages: boolean): void {
    const { value, first } = area
    const runs = this.#runs
    runs.clear()
    value.pages.collect(value.page, value.offset, Number(bytesOf(area)), runs)
    if (runs.count > 0) domain.map(first, largePages ? runs : single(runs, this.#pageBytes), protOf(value))
  }
}

function uncover({ first, last, value }: Placed): void {
  value.pages.uncover(value.page, value.pageAt(Number(last - first)))
}

function take(domain: PagingDomain, area: Placed): void {
  const gather = flushGather()
  domain.unmap(area.first, bytesOf(area), gather)
  domain.sync(gather)
}

/** One run for each page, so that no page table entry is larger and any part can be unmapped (batch_iommu_map_small). */
function single(runs: PageRuns, pageBytes: number): PageRuns {
  let count = 0
  for (let i = 0; i < runs.count; i++) count += Math.ceil((runs.bytes[i] as number) / pageBytes)
  const hpa = new Float64Array(count)
  const bytes = new Float64Array(count)
  for (let i = 0, n = 0; i < runs.count; i++) {
    const end = (runs.hpa[i] as number) + (runs.bytes[i] as number)
    for (let at = runs.hpa[i] as number; at < end; at += pageBytes, n++) {
      hpa[n] = at
      bytes[n] = Math.min(pageBytes, end - at)
    }
  }
  return { count, hpa, bytes }
}
