/** Paging domains: mappings are kept in a tree, and sent while endpoints are attached. Facts: viommu_map_pages, viommu_unmap_pages. */
import * as io from '@ioasis/core'
import { FLAG, MAP, TYPE, UNMAP } from '../spec/iommu.ts'
import type { Viommu } from './viommu.ts'

type Target = { readonly hpa: io.Hpa; readonly flags: number }
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const most = (a: bigint, b: bigint): bigint => (a > b ? a : b)

/** A domain of one device. */
export class VirtioDomain implements io.PagingDomain {
  readonly type = 'paging'
  readonly viommu: Viommu
  readonly id: number
  readonly aperture: io.IovaRange
  readonly pageSizes: bigint
  readonly #tree = new io.IntervalMap<Target>()
  #endpoints = 0
  #retired = false

  /** @throws UapiError ENOSPC */
  constructor(viommu: Viommu) {
    // The first one is the identity domain's.
    this.id = Number(viommu.read('DOMAIN_FIRST')) + 1
    while (viommu.domains.has(this.id)) this.id++
    if (this.id > Number(viommu.read('DOMAIN_LAST'))) throw new io.UapiError('ENOSPC', 'viommu_domain_alloc_paging')
    viommu.domains.set(this.id, this)
    this.viommu = viommu
    this.aperture = { first: viommu.read('INPUT_FIRST'), last: viommu.read('INPUT_LAST') }
    this.pageSizes = viommu.read('PAGE_SIZE_MASK')
  }
  map(iova: io.Iova, { count, hpa, bytes }: io.PageRuns, { read, write, mmio = false }: io.Prot): void {
    const flags = (read ? FLAG.READ : 0) | (write ? FLAG.WRITE : 0) | (mmio ? FLAG.MMIO : 0)
    for (let run = 0, first = iova; run < count; first += BigInt(bytes[run++] as number))
      this.#put(first, first + BigInt(bytes[run] as number) - 1n, { hpa: hpa[run] as number, flags })
    if (this.#endpoints > 0) this.viommu.sync()
  }
  /** The device cannot cut a mapping: one that is cut goes whole, and what is left of it comes back in the same batch. */
  unmap(iova: io.Iova, bytes: bigint): bigint {
    const end = iova + bytes - 1n
    const found = [...this.#tree.within(iova, end)]
    for (const { first } of found) this.#tree.remove(first)
    const first = least(iova, found[0]?.first ?? iova)
    const request = UNMAP.make({ type: TYPE.UNMAP, domain: this.id, first, last: most(end, found.at(-1)?.last ?? end) })
    if (found.length > 0 && this.#endpoints > 0) this.viommu.add(request)
    for (const { first: from, last: to, value } of found) {
      if (from < iova) this.#put(from, iova - 1n, value)
      if (to > end) this.#put(end + 1n, to, { ...value, hpa: value.hpa + Number(end + 1n - from) })
    }
    return found.reduce((sum, one) => sum + least(end, one.last) - most(iova, one.first) + 1n, 0n)
  }
  sync(): void {
    this.viommu.sync()
  }
  lookup(iova: io.Iova): io.Hpa | undefined {
    const found = this.#tree.firstIn(iova, iova)
    return found && found.value.hpa + Number(iova - found.first)
  }
  free(): void {
    if (this.#endpoints > 0) throw new Error('virtio-iommu: a domain is freed while it is attached')
    this.viommu.domains.delete(this.id)
  }
  /** Frees it as soon as nobody is attached. */
  retire(): void {
    this.#retired = true
    if (this.#endpoints === 0) this.free()
  }

  /** The request before attaches an endpoint; with the first one the device makes the domain, empty. viommu_replay_mappings. */
  join(): void {
    if (this.#endpoints++ > 0) return
    for (const { first, last, value } of this.#tree.within()) this.#send(first, last, value)
  }
  leave(): void {
    if (--this.#endpoints === 0 && this.#retired) this.free()
  }
  claims(): readonly io.Claim[] {
    const [unit, tag] = this.#endpoints > 0 ? [this.viommu.name, this.id] : ['', -1]
    return [...this.#tree.within()].map(({ first: iova, last, value: { hpa, flags } }) => {
      const write = (flags & FLAG.WRITE) !== 0
      return { kind: 'mapped', domain: this, unit, tag, iova, bytes: last - iova + 1n, hpa, write }
    })
  }

  #put(first: io.Iova, last: io.Iova, target: Target): void {
    this.#tree.insert(first, last, target)
    if (this.#endpoints > 0) this.#send(first, last, target)
  }
  #send(first: io.Iova, last: io.Iova, { hpa, flags }: Target): void {
    this.viommu.add(MAP.make({ type: TYPE.MAP, domain: this.id, first, last, target: BigInt(hpa), flags }))
  }
}
