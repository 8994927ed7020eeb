/**
 * Memory registered beforehand (POWER): pinned and charged once for an address space, so that putting a page into a TCE table
 * neither pins nor charges. Containers of one address space share it, and a hypervisor finds it without knowing VFIO.
 *
 * Facts: arch/powerpc/mm/book3s64/iommu_api.c. A region has two counts. `users`: containers that registered it. `mapped`: 1
 * and one for each TCE that leads into it; it goes with its last user only while it is 1, and Linux has a way to lose that last
 * user before (`unregister` below), after which the region stays for good.
 */
import type { Hpa } from '../address.ts'
import { UapiError } from '../errno.ts'
import type { AddressSpace } from '../process/address-space.ts'
import { PageRunList, unpinPages } from '../process/pins.ts'

/** Pages that are pinned at once: entries of a list in the largest block of pages (MAX_PAGE_ORDER), the same for 4 and 64 KiB. */
const CHUNK = 2 ** 21

/** One registered range. */
export interface RegisteredRegion {
  /** uva. */
  readonly first: number
  readonly pages: number
  /** log2 of the largest TCE page that may lead into it. */
  readonly pageShift: number
  /** Containers that registered it, and who looks at it just now. */
  readonly users: number
  /** 1, and one for each TCE that leads into it. */
  readonly mapped: number
  /** The host page of each page. */
  readonly hpas: Float64Array
}
interface Region extends RegisteredRegion {
  users: number
  mapped: number
  readonly runs: PageRunList
}

/** The registered memory of one address space. */
export class RegisteredMemory {
  readonly #space: AddressSpace
  #regions: Region[] = []
  #last: Region | undefined

  private constructor(space: AddressSpace) {
    this.#space = space
  }
  /** That of an address space; made at the first question. */
  static of(space: AddressSpace): RegisteredMemory {
    let memory = memories.get(space)
    if (!memory) memories.set(space, (memory = new RegisteredMemory(space)))
    return memory
  }

  /** What is registered, the newest first. */
  get regions(): readonly RegisteredRegion[] {
    return this.#regions
  }
  /** The region of exactly this range, with one user more (mm_iommu_get). */
  get(first: bigint, pages: number): RegisteredRegion | undefined {
    const found = this.#regions.find((region) => BigInt(region.first) === first && region.pages === pages)
    if (found) found.users++
    return found
  }
  /**
   * Pins and charges a range (mm_iommu_new).
   * @param limit pages that may be locked
   * @param most pages that a region can have: its list of pages must fit into the host's memory
   * @returns the region, with one user; or a positive number as Linux returns it: the pages that could be pinned of the part
   *   in which one could not. Nothing is registered then
   * @throws UapiError ENOMEM beyond either limit or for no pages; EFAULT when the first page cannot be pinned for writing;
   *   EINVAL when it overlaps a region. Nothing has changed then
   */
  create(first: bigint, pages: number, limit: number, most: number = Infinity): RegisteredRegion | number {
    const { locked, frames } = this.#space
    if (pages > 0) locked.charge(pages, limit, 'mm_iommu_new')
    const runs = new PageRunList()
    try {
      // A list of no entries cannot be had either (vzalloc of no bytes).
      if (pages === 0 || pages > most) throw new UapiError('ENOMEM', 'mm_iommu_new', { first, pages })
      const short = this.#pin(first, pages, runs)
      if (short === undefined) return this.#add(Number(first), pages, runs)
      unpinPages(frames, runs)
      locked.uncharge(pages)
      return short
    } catch (error) {
      unpinPages(frames, runs)
      locked.uncharge(pages)
      throw error
    }
  }
  /**
   * One user less (mm_iommu_put); the last one takes the region along.
   * @throws UapiError EBUSY: the last one, and TCEs lead into it; it stays a user then
   */
  put(region: RegisteredRegion): void {
    const own = region as Region
    if (own.users === 1) {
      if (own.mapped !== 1) throw new UapiError('EBUSY', 'mm_iommu_put', { first: own.first, mapped: own.mapped })
      this.#free(own)
    }
    own.users--
  }
  /** The region that holds all of a range (mm_iommu_lookup). @param first uva @param bytes of a TCE's page */
  lookup(first: number, bytes: number): RegisteredRegion | undefined {
    const last = this.#last
    if (last && this.#holds(last, first, bytes)) return last
    return (this.#last = this.#regions.find((region) => this.#holds(region, first, bytes)))
  }
  /** The host address of a uva (mm_iommu_ua_to_hpa). @returns undefined when TCE pages of that size may not lead into the region */
  target(region: RegisteredRegion, uva: number, pageShift: number): Hpa | undefined {
    if (pageShift > region.pageShift) return undefined
    const { pageBytes } = this.#space
    const index = Math.floor((uva - region.first) / pageBytes)
    return (region.hpas[index] as number) + (uva - region.first - index * pageBytes)
  }
  /** A TCE leads into it now (mm_iommu_mapped_inc). @returns false when it is on its way out */
  addMapping(region: RegisteredRegion): boolean {
    if (region.mapped === 0) return false
    ;(region as Region).mapped++
    return true
  }
  /** A TCE leads there no more (mm_iommu_mapped_dec). */
  removeMapping(region: RegisteredRegion): void {
    if (region.mapped !== 1) (region as Region).mapped--
  }

  #holds({ first, pages }: Region, from: number, bytes: number): boolean {
    return first <= from && from + bytes <= first + pages * this.#space.pageBytes
  }
  /** @returns undefined: all are pinned; else the pages of the part that fell short @throws UapiError when none of a part is */
  #pin(first: bigint, pages: number, into: PageRunList): number | undefined {
    const size = BigInt(this.#space.pageBytes)
    for (let done = 0; done < pages; done += CHUNK) {
      const wanted = Math.min(pages - done, CHUNK)
      const got = this.#space.pin(first + BigInt(done) * size, wanted, { write: true }, into)
      if (got < wanted) return got
    }
    return undefined
  }
  #add(first: number, pages: number, runs: PageRunList): Region {
    const { pageBytes } = this.#space
    const end = first + pages * pageBytes
    if (this.#regions.some((other) => other.first < end && first < other.first + other.pages * pageBytes))
      throw new UapiError('EINVAL', 'mm_iommu_new', { first, pages })
    const region: Region = {
      first,
      pages,
      pageShift: this.#pageShift(first, pages),
      users: 1,
      mapped: 1,
      hpas: hpasOf(runs, pages, pageBytes),
      runs,
    }
    this.#regions.unshift(region)
    return region
  }
  /**
   * As large as the alignment of the range and the pages behind it allow; only huge pages count as larger than a page. Linux
   * goes on with the size of the last huge page where small ones follow: who maps checks each page again.
   */
  #pageShift(first: number, pages: number): number {
    const { pageBytes } = this.#space
    const small = Math.log2(pageBytes)
    let shift = Math.min(zerosBelow(first), zerosBelow(pages * pageBytes))
    let seen = small
    for (let i = 0; i < pages && shift > small; i++) {
      const target = this.#space.at(BigInt(first + i * pageBytes))?.target
      const block = target?.kind === 'pages' ? target.object.blockPages : 1
      if (block > 1) seen = Math.log2(block * pageBytes)
      shift = Math.min(shift, seen)
    }
    return shift
  }
  #free(region: Region): void {
    region.mapped = 0
    this.#regions = this.#regions.filter((one) => one !== region)
    this.#last = undefined
    unpinPages(this.#space.frames, region.runs)
    this.#space.locked.uncharge(region.pages)
  }
}

const memories = new WeakMap<AddressSpace, RegisteredMemory>()

/** Zero bits below the lowest one that is set; 64 for 0. */
function zerosBelow(value: number): number {
  let zeros = 0
  for (let rest = value; rest % 2 === 0; rest /= 2) if (++zeros === 64) return zeros
  return zeros
}

function hpasOf(runs: PageRunList, pages: number, pageBytes: number): Float64Array {
  const hpas = new Float64Array(pages)
  let page = 0
  for (let i = 0; i < runs.count; i++) {
    const hpa = runs.hpa[i] as number
    const bytes = runs.bytes[i] as number
    for (let done = 0; done < bytes; done += pageBytes) hpas[page++] = hpa + done
  }
  return hpas
}
