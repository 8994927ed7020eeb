/**
 * What drivers offer through mmap(2) of /dev/iommu: offsets are given out from the second page on, and only the whole of what
 * was offered can be mapped. drivers/iommu/iommufd/driver.c _iommufd_alloc_mmap, main.c iommufd_fops_mmap.
 */
import { type Hpa, IntervalMap, type Mapping, type MmapRequest, type PageObject, UapiError } from '@ioasis/core'
import type { IommufdObject } from './object.ts'

interface Offer {
  readonly owner: IommufdObject
  readonly target: Mapping
}

/** What a mapping keeps open: the file, as every mapping of a file does. */
export interface MappedFile {
  hold(): void
  release(): void
}

/** The offers of one context. */
export class MmapAreas {
  readonly #offers = new IntervalMap<Offer>()
  readonly #mapped = new Map<IommufdObject, number>()
  readonly #pageBytes: number
  readonly #file: MappedFile

  /** @param pageBytes of the CPU */
  constructor(pageBytes: number, file: MappedFile) {
    this.#pageBytes = pageBytes
    this.#file = file
  }

  /** @param owner cannot be destroyed while it is mapped @returns the offset @throws UapiError EINVAL for bytes that are no whole pages */
  offer(owner: IommufdObject, target: Mapping, bytes: number): bigint {
    if (bytes <= 0 || bytes % this.#pageBytes !== 0) throw new UapiError('EINVAL', 'iommufd mmap offer', { bytes })
    for (const { first, last } of this.#offers.gaps(BigInt(this.#pageBytes))) {
      if (last - first + 1n < BigInt(bytes)) continue
      this.#offers.insert(first, first + BigInt(bytes) - 1n, { owner, target })
      return first
    }
    throw new UapiError('EBUSY', 'iommufd mmap offer', { bytes })
  }
  /** @throws Error for an offset that was not given to this owner */
  takeBack(owner: IommufdObject, offset: bigint): void {
    const found = this.#offers.firstIn(offset, offset)
    if (found?.first !== offset || found.value.owner !== owner) throw new Error(`iommufd: ${offset} was not offered`)
    this.#offers.remove(offset)
  }
  /** @throws UapiError EINVAL for a private mapping; ENXIO for anything but what was offered */
  map({ offset, bytes, shared }: MmapRequest): Mapping {
    if (!shared) throw new UapiError('EINVAL', 'iommufd mmap', { offset })
    const found = this.#offers.firstIn(offset, offset)
    if (!found || found.first !== offset || found.last - found.first + 1n !== bytes) {
      throw new UapiError('ENXIO', 'iommufd mmap', { offset, bytes })
    }
    const { target, owner } = found.value
    return target.kind === 'pages' ? { ...target, object: this.#kept(target.object, owner) } : target
  }
  /** How often what an object offers is mapped now. */
  mapped(owner: IommufdObject): number {
    return this.#mapped.get(owner) ?? 0
  }

  #kept(pages: PageObject, owner: IommufdObject): PageObject {
    return new Kept(pages, (by) => {
      if (by > 0) this.#file.hold()
      owner.users += by
      const count = this.mapped(owner) + by
      if (count > 0) this.#mapped.set(owner, count)
      else this.#mapped.delete(owner)
      if (by < 0) this.#file.release()
    })
  }
}

/** Pages that tell how often they are mapped. */
class Kept implements PageObject {
  readonly name: string
  readonly blockPages: number
  readonly pinnable: boolean
  readonly #pages: PageObject
  readonly #count: (by: 1 | -1) => void

  constructor(pages: PageObject, count: (by: 1 | -1) => void) {
    this.name = pages.name
    this.blockPages = pages.blockPages
    this.pinnable = pages.pinnable
    this.#pages = pages
    this.#count = count
  }
  peek(index: number): Hpa {
    return this.#pages.peek(index)
  }
  fault(index: number): Hpa {
    return this.#pages.fault(index)
  }
  hold(): void {
    this.#pages.hold()
    this.#count(1)
  }
  release(): void {
    this.#count(-1)
    this.#pages.release()
  }
}
