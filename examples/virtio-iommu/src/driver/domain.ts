/** Paging domains: mappings are kept in a tree, and sent while endpoints are attached. Facts: viommu_map_pages, viommu_unmap_pages. */
import * as io from '@ioasis/core'
import { FLAG, MAP, TYPE, UNMAP } from '../spec/virtio-iommu.ts'
import type { Viommu } from './viommu.ts'

type Target = { readonly hpa: io.Hpa; readonly flags: number }

/** A domain of one device. */
export class VirtioDomain implements io.PagingDomain {
  readonly type = 'paging'
  readonly viommu: Viommu
  readonly id: number
  readonly aperture: io.IovaRange
  readonly pageSizes: bigint
  /** It is freed as soon as nobody is attached. */
  retired = false
  readonly sync = (): void => this.viommu.sync()
  readonly #isAttached = (): boolean => [...this.viommu.endpoints.values()].includes(this)
  readonly #tree = new io.IntervalMap<Target>()

  /** @throws UapiError ENOSPC */
  constructor(viommu: Viommu) {
    this.viommu = viommu
    this.id = viommu.ids.take()
    this.aperture = viommu.aperture
    this.pageSizes = viommu.pageSizes
    viommu.domains.add(this)
  }
  map(iova: io.Iova, { count, hpa, bytes }: io.PageRuns, { read, write, mmio = false }: io.Prot): void {
    const flags = (read ? FLAG.READ : 0) | (write ? FLAG.WRITE : 0) | (mmio ? FLAG.MMIO : 0)
    for (let run = 0, first = iova; run < count; first += BigInt(bytes[run++] as number))
      this.#put(first, first + BigInt(bytes[run] as number) - 1n, { hpa: hpa[run] as number, flags })
    this.viommu.sync()
  }
  /** The device cannot cut a mapping: one that is cut goes whole, and what is left of it comes back in the same batch. */
  unmap(iova: io.Iova, bytes: bigint): bigint {
    const last = iova + bytes - 1n
    const unmapped = [...this.#tree.gaps(iova, last)].reduce((left, gap) => left - (gap.last - gap.first + 1n), bytes)
    const found = [...this.#tree.within(iova, last)]
    const [first, end] = [found[0]?.first, found.at(-1)?.last]
    if (first === undefined || end === undefined) return 0n
    for (const one of found) this.#tree.remove(one.first)
    if (this.#isAttached()) this.viommu.add(UNMAP.make({ type: TYPE.UNMAP, domain: this.id, first, last: end }))
    for (const { first: from, last: to, value } of found) {
      if (from < iova) this.#put(from, iova - 1n, value)
      if (to > last) this.#put(last + 1n, to, { ...value, hpa: value.hpa + Number(last + 1n - from) })
    }
    return unmapped
  }
  lookup(iova: io.Iova): io.Hpa | undefined {
    const found = this.#tree.firstIn(iova, iova)
    return found && found.value.hpa + Number(iova - found.first)
  }
  free(): void {
    if (this.#isAttached()) throw new Error('virtio-iommu: a domain is freed while it is attached')
    if (this.viommu.domains.delete(this)) this.viommu.ids.free(this.id)
  }
  /** An endpoint will be attached: with the first one the device makes the domain, empty. viommu_replay_mappings. */
  join(): void {
    const fresh = this.#isAttached() ? [] : this.#tree.within()
    for (const { first, last, value } of fresh) this.#send(first, last, value)
  }
  /** An endpoint is not attached any more. */
  left(): void {
    if (this.retired && !this.#isAttached()) this.free()
  }
  claims(): readonly io.Claim[] {
    const [unit, tag] = this.#isAttached() ? [this.viommu.name, this.id] : ['', -1]
    return [...this.#tree.within()].map(({ first: iova, last, value: { hpa, flags } }) => {
      const write = (flags & FLAG.WRITE) !== 0
      return { kind: 'mapped', domain: this, unit, tag, iova, bytes: last - iova + 1n, hpa, write }
    })
  }
  #put(first: io.Iova, last: io.Iova, target: Target): void {
    this.#tree.insert(first, last, target)
    if (this.#isAttached()) this.#send(first, last, target)
  }
  #send(first: io.Iova, last: io.Iova, { hpa, flags }: Target): void {
    this.viommu.add(MAP.make({ type: TYPE.MAP, domain: this.id, first, last, target: BigInt(hpa), flags }))
  }
}
