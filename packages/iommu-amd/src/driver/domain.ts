/**
 * A paging domain: one table, of the host's format (v1) or the guest's (v2), that functions behind any number of units may use.
 * drivers/iommu/amd/iommu.c amd_iommu_domain_alloc_paging_v1, _v2, amd_iommu_change_top, amd_iommu_domain_flush_pages,
 * amd_iommu_set_dirty_tracking.
 */
import {
  type Claim,
  type DirtySink,
  emptyGather,
  type FlushGather,
  type Hpa,
  type Iova,
  type IovaRange,
  type PageRuns,
  type PagingDomain,
  type Prot,
  type Trace,
} from '@ioasis/core'
import { amdv1, PageTable, type TableMemory, x86_64 } from '@ioasis/page-table'
import { PTE } from '../spec/host-page-table.ts'
import { ALL } from './command.ts'
import { DomainUsers, type DomainUser, type NestedIds, type TableMode, type UnitTag } from './domain-users.ts'

/** What a domain is made of. */
export interface DomainParts {
  readonly id: number
  readonly mode: TableMode
  readonly memory: TableMemory
  readonly trace: Trace
  /** v1: bits of an iova. v2: levels. */
  readonly iovaBits: number
  readonly guestLevels: 4 | 5
  /** Sizes that may be used: amd_iommu_pgsize_bitmap. */
  readonly pageSizes: bigint
  /** Units remember absent entries, and shadow what is flushed: new mappings are flushed, and never more than was changed. */
  readonly npCache: boolean
  readonly strict: boolean
  readonly dirtyTracking: boolean
  readonly nestParent: boolean
  readonly freed: (domain: AmdDomain) => void
}

/** Force Coherent, in every leaf: PT_FEAT_AMDV1_FORCE_COHERENCE. */
const FC = 1n << BigInt(PTE.FC.lo)
/** v1 tables begin with three levels and grow to six. */
const FIRST_TOP = 2
const LAST_TOP = 5

/** A table that functions may be attached to. */
export class AmdDomain implements PagingDomain {
  readonly type = 'paging'
  readonly strict: boolean
  readonly id: number
  readonly mode: TableMode
  readonly aperture: IovaRange
  readonly pageSizes: bigint
  /** It can be the parent of nested domains. */
  readonly nestParent: boolean
  readonly tracksDirty: boolean
  /** Every leaf ignores No Snoop from the start; a v2 table has no such bit, and Linux says the same of it. */
  readonly coherency: { enforce(): boolean; readonly enforced: boolean } = { enforce: () => true, enforced: true }
  readonly dirty?: NonNullable<PagingDomain['dirty']>
  answersPageRequests?: boolean
  /** Hardware marks pages now. */
  recording = false
  /** First stages of guests on it. */
  readonly nested: Set<NestedIds>
  readonly #parts: DomainParts
  readonly #table: PageTable
  readonly #users: DomainUsers
  #retired = false
  #freed = false

  /** @throws UapiError ENOMEM */
  constructor(parts: DomainParts) {
    const { mode, iovaBits, guestLevels, pageSizes } = parts
    this.#parts = parts
    this.#users = new DomainUsers(parts.id, mode, parts.npCache)
    this.nested = this.#users.nested
    this.id = parts.id
    this.mode = mode
    this.strict = parts.strict
    this.nestParent = parts.nestParent
    this.tracksDirty = parts.dirtyTracking
    this.#table =
      mode === 'v1'
        ? new PageTable(
            amdv1,
            { topLevel: FIRST_TOP, growsTo: lastTop(iovaBits), pageSizes, iovaBits },
            parts.memory,
            () => this.#users.refresh(),
          )
        : new PageTable(x86_64, { topLevel: guestLevels - 1, pageSizes, iovaBits: guestLevels * 9 + 11 }, parts.memory)
    this.aperture = this.#table.aperture
    this.pageSizes = this.#table.pageSizes
    if (parts.dirtyTracking) {
      this.dirty = { set: (on) => this.#record(on), read: (range, sink, how) => this.#readDirty(range, sink, how) }
    }
  }

  /** Where hardware starts. */
  get root(): Hpa {
    return this.#table.root
  }
  get levels(): number {
    return this.#table.topLevel + 1
  }
  get tablePages(): number {
    return this.#table.tablePages
  }
  /** Units that use it, with the ids their translations are tagged with. */
  get tags(): readonly UnitTag[] {
    return this.#users.tags
  }

  map(iova: Iova, runs: PageRuns, prot: Prot): void {
    const bytes = BigInt(this.#table.map(iova, runs, prot, this.mode === 'v1' ? FC : 0))
    if (this.#parts.npCache && bytes > 0n) this.flush({ first: iova, last: iova + bytes - 1n }, true)
    const { trace } = this.#parts
    if (trace.wants('map')) trace.emit('map', { domain: this, iova, bytes })
  }

  unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    const removed = this.#table.unmap(iova, bytes, gather)
    const { trace } = this.#parts
    if (removed > 0n && trace.wants('unmap')) trace.emit('unmap', { domain: this, iova, bytes: removed })
    return removed
  }

  sync(gather: FlushGather): void {
    if (gather.first <= gather.last) this.flush({ first: gather.first, last: gather.last }, gather.tables.length > 0)
    this.#table.release(gather)
    emptyGather(gather)
  }

  lookup(iova: Iova): Hpa | undefined {
    return this.#table.lookup(iova)
  }

  /** Harmless once the driver has taken everything back: a group that made the domain comes later. */
  free(): void {
    if (this.#freed) return
    if (this.#users.size > 0 || this.nested.size > 0)
      throw new Error(
        `AMD-Vi: domain ${this.id} is freed while ${this.#users.size} functions and ${this.nested.size} guests use it`,
      )
    this.#freed = true
    this.#table.free()
    this.#parts.freed(this)
  }
  /** Its owner is gone: freed now, or when the last function leaves it. */
  retire(): void {
    this.#retired = true
    if (this.#users.size === 0) this.free()
  }

  /** A function starts to use it. */
  join(user: DomainUser): void {
    this.#users.add(user)
  }
  /** A function stops: nothing of it may be cached for it any more. */
  leave(user: DomainUser): void {
    if (!this.#users.delete(user)) throw new Error(`AMD-Vi: a function leaves domain ${this.id}, which it never used`)
    if (this.#retired && this.#users.size === 0) this.free()
  }
  /** Lets all units and functions forget a range, and waits. */
  flush(range: IovaRange, directories: boolean): void {
    this.#users.flush(range, directories)
  }
  /** Everything, on all units: a function has left, or what entries record changed. */
  flushAll(): void {
    this.flush(ALL, true)
  }

  /** What the table maps, for everyone who uses it. Reads all entries, or those around `near`. */
  claims(near?: IovaRange): readonly Claim[] {
    const tags = this.tags
    const holders = tags.length > 0 ? tags.map(({ unit, tag }) => ({ unit: unit.name, tag })) : [{ unit: '', tag: -1 }]
    const claims: Claim[] = []
    // A v2 table is PASID 0's.
    const of = this.mode === 'v2' ? { pasid: 0 } : {}
    this.#table.leaves((iova, bytes, hpa, write) => {
      for (const { unit, tag } of holders)
        claims.push({ kind: 'mapped', domain: this, unit, tag, ...of, iova, bytes, hpa, write })
    }, near)
    return claims
  }

  /** Where a range goes, piece by piece; parts that go nowhere are left out. */
  pieces({ first, last }: IovaRange, visit: (iova: Iova, bytes: bigint, hpa: Hpa, write: boolean) => void): void {
    this.#table.leaves(
      (iova, bytes, hpa, write) => {
        const from = iova > first ? iova : first
        const end = iova + bytes <= last ? iova + bytes : last + 1n
        if (from < end) visit(from, end - from, hpa + Number(from - iova), write)
      },
      { first, last },
    )
  }

  /** The entries of all functions say so, and translations that were made before are dropped: the next one marks its page. */
  #record(on: boolean): void {
    if (this.recording === on) return
    this.recording = on
    this.#users.refresh()
    if (this.#users.size > 0) this.flushAll()
  }
  #readDirty(range: IovaRange, sink: DirtySink, how: { readonly clear: boolean; readonly gather: FlushGather }): void {
    this.#table.readDirty(range, sink, how.clear ? how.gather : undefined)
  }
}

/** The level whose table sees the last bit of an iova. */
const lastTop = (iovaBits: number): number =>
  Math.min(LAST_TOP, Math.max(FIRST_TOP, Math.ceil((iovaBits - 12) / 9) - 1))
