/**
 * A paging domain: one second-stage table that devices on any number of units may use. Each unit knows it under a domain id of
 * its own and is flushed by that. drivers/iommu/intel/iommu.c domain_attach_iommu, intel_iommu_domain_alloc_second_stage,
 * intel_iommu_enforce_cache_coherency_ss; cache.c cache_tag_flush_range.
 */
import {
  bitsOf,
  type Claim,
  emptyGather,
  type FlushGather,
  flushGather,
  type Hpa,
  type Iova,
  type IovaRange,
  type PageRuns,
  type PagingDomain,
  type Prot,
  type Trace,
  UapiError,
} from '@ioasis/core'
import { PageTable, vtdss } from '@ioasis/page-table'
import { SS } from '../spec/second-stage.ts'
import type { DmarUnit } from './dmar-unit.ts'
import { flushRequests } from './flush.ts'
import { addressWidth, type SecondStageGeometry, secondStageGeometry } from './unit-capabilities.ts'

/** A unit that uses the domain. */
interface Attachment {
  /** The domain's id there. */
  readonly id: number
  /** Devices attached through it. */
  users: number
}

/** A second-stage table. */
export class SecondStageDomain implements PagingDomain {
  readonly type = 'paging'
  readonly aperture: IovaRange
  readonly pageSizes: bigint
  readonly geometry: SecondStageGeometry
  /** Tables are flushed out of the CPU's cache as they are written. */
  readonly flushesWrites: boolean
  /** A new mapping is flushed too: some unit caches absent entries, or keeps writes in a buffer. */
  readonly flushesMaps: boolean
  readonly coherency: { enforce(): boolean; readonly enforced: boolean }
  readonly #table: PageTable
  readonly #trace: Trace
  readonly #freed: (domain: SecondStageDomain) => void
  readonly #units = new Map<DmarUnit, Attachment>()
  #enforced = false
  #retired = false
  /** Bytes mapped; multiples of 4096, so exact. */
  #mapped = 0

  /**
   * Made to fit `unit`; others may share it where it fits.
   * @param freed told when its memory is given back
   * @throws UapiError ENOMEM; EOPNOTSUPP when the unit walks no table that the driver knows
   */
  constructor(unit: DmarUnit, trace: Trace, freed: (domain: SecondStageDomain) => void) {
    const geometry = secondStageGeometry(unit.capabilities)
    if (!geometry)
      throw new UapiError('EOPNOTSUPP', 'intel_iommu_domain_alloc_second_stage', { cap: unit.capabilities.cap })
    const { topLevel, width, pageSizes } = geometry
    this.#table = new PageTable(vtdss, { topLevel, pageSizes, iovaBits: width }, unit.memory)
    this.#trace = trace
    this.#freed = freed
    this.geometry = geometry
    this.aperture = this.#table.aperture
    this.pageSizes = pageSizes
    this.flushesWrites = unit.memory.flushWrites
    this.flushesMaps = unit.capabilities.cachingMode || unit.capabilities.writeBuffer
    const enforced = (): boolean => this.#enforced
    this.coherency = {
      enforce: () => this.#enforce(),
      get enforced() {
        return enforced()
      },
    }
  }

  /** Where a context entry points. */
  get root(): Hpa {
    return this.#table.root
  }
  get width(): number {
    return addressWidth(this.geometry.topLevel)
  }
  /** Pages of tables. */
  get tablePages(): number {
    return this.#table.tablePages
  }
  /** Units that use it, with its id on each. */
  get units(): readonly { readonly unit: DmarUnit; readonly id: number }[] {
    return [...this.#units].map(([unit, { id }]) => ({ unit, id }))
  }

  map(iova: Iova, runs: PageRuns, prot: Prot): void {
    const bytes = this.#table.map(iova, runs, prot, this.#enforced ? bitsOf(SS.SNP) : 0)
    this.#mapped += bytes
    if (this.flushesMaps) this.#flushNew(iova, BigInt(bytes))
    if (this.#trace.wants('map')) this.#trace.emit('map', { domain: this, iova, bytes: BigInt(bytes) })
  }

  unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    const removed = this.#table.unmap(iova, bytes, gather)
    this.#mapped -= Number(removed)
    if (removed > 0n && this.#trace.wants('unmap')) this.#trace.emit('unmap', { domain: this, iova, bytes: removed })
    return removed
  }

  sync(gather: FlushGather): void {
    for (const [unit, { id }] of this.#units) {
      const requests = flushRequests(gather, id, unit.capabilities)
      if (requests.length > 0) unit.invalidate(requests)
    }
    this.#table.release(gather)
    emptyGather(gather)
  }

  lookup(iova: Iova): Hpa | undefined {
    return this.#table.lookup(iova)
  }

  free(): void {
    if (this.#units.size > 0)
      throw new Error(`a domain is freed while ${[...this.#units.keys()].map((u) => u.name).join(', ')} uses it`)
    this.#table.free()
    this.#freed(this)
  }
  /** Its owner is gone: freed now, or when the last device leaves it. */
  retire(): void {
    this.#retired = true
    if (this.#units.size === 0) this.free()
  }

  /** A device on `unit` starts to use it. @returns its domain id there @throws UapiError ENOSPC */
  join(unit: DmarUnit): number {
    const here = this.#units.get(unit)
    if (here) {
      here.users++
      return here.id
    }
    const id = unit.ids.take()
    this.#units.set(unit, { id, users: 1 })
    return id
  }
  /** A device on `unit` stopped using it; the unit was flushed for its id. @throws Error when none used it */
  leave(unit: DmarUnit): void {
    const here = this.#units.get(unit)
    if (!here) throw new Error(`${unit.name} leaves a domain it never used`)
    if (--here.users > 0) return
    this.#units.delete(unit)
    unit.ids.free(here.id)
    if (this.#retired && this.#units.size === 0) this.free()
  }

  /** What the tables map, for every unit that uses them; for none under no name and tag -1. Reads all entries, or those around `near`. */
  claims(near?: IovaRange): readonly Claim[] {
    const holders =
      this.#units.size > 0 ? this.units.map(({ unit, id }) => ({ unit: unit.name, tag: id })) : [{ unit: '', tag: -1 }]
    const claims: Claim[] = []
    this.#table.leaves((iova, bytes, hpa, write) => {
      for (const { unit, tag } of holders)
        claims.push({ kind: 'mapped', domain: this, unit, tag, iova, bytes, hpa, write })
    }, near)
    return claims
  }

  /**
   * Refused once something is mapped, for those leaves would go on without SNP. Linux 7.2 no longer asks that, as its callers
   * enforce before they map; earlier versions did.
   */
  #enforce(): boolean {
    if (this.#enforced) return true
    for (const unit of this.#units.keys()) if (!unit.capabilities.snoopControl) return false
    if (this.#mapped > 0) return false
    this.#enforced = true
    return true
  }

  /** drivers/iommu/intel/cache.c cache_tag_flush_range_np. */
  #flushNew(iova: Iova, bytes: bigint): void {
    const range: FlushGather = { ...flushGather(), first: iova, last: iova + bytes - 1n }
    for (const [unit, { id }] of this.#units) {
      if (unit.capabilities.cachingMode)
        unit.invalidate(flushRequests(range, id, unit.capabilities, { leafOnly: false }))
      else unit.flushWriteBuffer()
    }
  }
}
