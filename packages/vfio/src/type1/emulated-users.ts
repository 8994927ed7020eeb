/**
 * Emulated devices of a container: they hold single pages and copy by CPU. drivers/vfio/vfio_iommu_type1.c
 * vfio_iommu_type1_pin_pages, vfio_iommu_type1_unpin_pages, vfio_iommu_type1_dma_rw.
 */
import { type Caller, type ContainerMember, type ContainerPins, UapiError } from '@ioasis/core'
import type { DirtyTracking } from './dirty-tracking.ts'
import type { Domains } from './domains.ts'
import type { Mapping } from './mapping.ts'
import type { Mappings } from './mappings.ts'

type Unmapped = (first: bigint, bytes: bigint) => void
const U64 = 1n << 64n

/** What emulated devices need of their container. */
export interface EmulatedMemory {
  /** Version 1 has no pages to hold. */
  readonly v2: boolean
  /** Addresses are about to change: nobody may look at memory by them. */
  readonly changesAddresses: boolean
  readonly domains: Domains
  readonly mappings: Mappings
  readonly dirty: DirtyTracking
}

/** Those of one container. */
export class EmulatedUsers implements ContainerPins {
  readonly #type1: EmulatedMemory
  readonly #page: bigint
  readonly #devices: Unmapped[] = []

  /** @param pageBytes of the kernel */
  constructor(type1: EmulatedMemory, pageBytes: number) {
    this.#type1 = type1
    this.#page = BigInt(pageBytes)
  }

  register(unmapped: Unmapped): () => void {
    this.#devices.unshift(unmapped)
    return () => this.#devices.splice(this.#devices.indexOf(unmapped), 1)
  }
  /** A range of which pages are held goes: who opened last is told first. */
  tellUnmapped(first: bigint, bytes: bigint): void {
    for (const unmapped of this.#devices.slice()) unmapped(first, bytes)
  }

  /** @throws UapiError EACCES under version 1; EOVERFLOW; EBUSY; EINVAL, EPERM, and as `Mapping.pinPage` for a page. Nothing is held then */
  pin(_member: ContainerMember, iova: bigint, pages: number, { write }: { readonly write: boolean }): Float64Array {
    const what = 'vfio_pin_pages'
    if (!this.#type1.v2) throw new UapiError('EACCES', what, { version: 1 })
    if (iova + BigInt(pages) * this.#page > U64) throw new UapiError('EOVERFLOW', what, { iova, pages })
    if (this.#type1.changesAddresses) throw new UapiError('EBUSY', what, { iova })
    if (this.#devices.length === 0) throw new UapiError('EINVAL', what, { iova })
    const found = new Float64Array(pages)
    for (let i = 0; i < pages; i++) {
      try {
        found[i] = this.#pinOne(iova + BigInt(i) * this.#page, write)
      } catch (error) {
        this.unpin(iova, i)
        throw error
      }
    }
    return found
  }
  unpin(iova: bigint, pages: number): void {
    for (let i = 0; i < pages; i++) {
      const at = iova + BigInt(i) * this.#page
      const mapping = this.#mappingAt(at)
      if (!mapping) return
      mapping.unpinPage(this.#pageOf(mapping, at), this.#charges)
    }
  }
  /** @throws UapiError EBUSY, EINVAL where nothing is mapped, EPERM, EFAULT; what came before is copied */
  copy(caller: Caller, iova: bigint, bytes: Uint8Array, { write }: { readonly write: boolean }): void {
    if (this.#type1.changesAddresses) throw new UapiError('EBUSY', 'vfio_dma_rw', { iova })
    for (let done = 0; done < bytes.length;) {
      done += this.#copySome(caller, iova + BigInt(done), bytes.subarray(done), write)
    }
  }

  /** No domain holds and charges all of a mapping. */
  get #charges(): boolean {
    return this.#type1.domains.all.length === 0
  }
  #mappingAt(iova: bigint): Mapping | undefined {
    return this.#type1.mappings.find(iova, iova + this.#page - 1n)
  }
  #pageOf(mapping: Mapping, iova: bigint): number {
    return Number((iova - mapping.iova) / this.#page)
  }
  #pinOne(iova: bigint, write: boolean): number {
    const mapping = this.#mappingAt(iova)
    if (!mapping) throw new UapiError('EINVAL', 'vfio_pin_pages', { iova })
    if (!mapping.prot.read || (write && !mapping.prot.write)) throw new UapiError('EPERM', 'vfio_pin_pages', { iova })
    const page = this.#pageOf(mapping, iova)
    const isNew = !mapping.pagePins.has(page)
    const hpa = mapping.pinPage(page, this.#charges)
    if (isNew) this.#type1.dirty.wrote(mapping, BigInt(page) * this.#page, 1n)
    return hpa
  }
  /** Up to the end of the mapping, all or nothing. @returns bytes copied */
  #copySome(caller: Caller, iova: bigint, bytes: Uint8Array, write: boolean): number {
    const what = 'vfio_dma_rw'
    const mapping = this.#type1.mappings.find(iova, iova)
    if (!mapping) throw new UapiError('EINVAL', what, { iova })
    const { prot, space, vaddr, last } = mapping
    if (!prot.read || (write && !prot.write) || !space.alive) throw new UapiError('EPERM', what, { iova })
    const offset = iova - mapping.iova
    const room = last - iova + 1n
    const part = BigInt(bytes.length) > room ? bytes.subarray(0, Number(room)) : bytes
    const { addressSpace } = caller.process
    const done =
      addressSpace !== space ? 0 : write ? space.copyOut(vaddr + offset, part) : space.copyIn(vaddr + offset, part)
    if (done < part.length) throw new UapiError('EFAULT', what, { iova })
    if (write) this.#type1.dirty.wrote(mapping, offset, BigInt(part.length))
    return part.length
  }
}
