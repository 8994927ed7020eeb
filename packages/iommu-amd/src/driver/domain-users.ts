/**
 * Who uses a domain: functions behind any number of units, first stages of guests on top of it; and what it takes that all of
 * them forget a range. drivers/iommu/amd/iommu.c amd_iommu_domain_flush_pages, domain_flush_pages_v1, domain_flush_pages_v2,
 * iommu_flush_pages_v1_hdom_ids.
 */
import type { IovaRange } from '@ioasis/core'
import { ALL, type Command } from './command.ts'
import type { IvhdUnit } from './ivhd-unit.ts'

/** Which table: the host's, or the guest's as PASID 0 of each function. */
export type TableMode = 'v1' | 'v2'

/** A function that uses the domain. */
export interface DomainUser {
  readonly unit: IvhdUnit
  /** Id that the function's own translations are tagged with: with guest tables each has one. */
  readonly guestDomain: number
  /** The function caches translations itself: what lets it forget a range. */
  devicePages(range: IovaRange, guest: boolean): readonly Command[]
  /** The table's root, its levels, or what it records changed. */
  refresh(): void
}

/** Domain ids that stand for a guest's own on this table: one for each first stage on it. */
export interface NestedIds {
  readonly unit: IvhdUnit
  readonly ids: Iterable<number>
  /** How many they are. */
  readonly count: number
}

/** A unit, and the id that translations of a domain are tagged with there. */
export interface UnitTag {
  readonly unit: IvhdUnit
  readonly tag: number
}

/** The users of one domain. */
export class DomainUsers {
  /** First stages of guests. */
  readonly nested: Set<NestedIds> = new Set()
  readonly #id: number
  readonly #mode: TableMode
  readonly #npCache: boolean
  readonly #users = new Set<DomainUser>()

  /** @param npCache units remember absent entries: a hypervisor shadows the tables */
  constructor(id: number, mode: TableMode, npCache: boolean) {
    this.#id = id
    this.#mode = mode
    this.#npCache = npCache
  }

  /** How many functions. */
  get size(): number {
    return this.#users.size
  }
  /** Each unit with each of its tags, once. */
  get tags(): readonly UnitTag[] {
    const tags = new Map<string, UnitTag>()
    for (const user of this.#users) {
      const tag = this.#mode === 'v2' ? user.guestDomain : this.#id
      tags.set(`${user.unit.name} ${tag}`, { unit: user.unit, tag })
    }
    return [...tags.values()]
  }
  add(user: DomainUser): void {
    this.#users.add(user)
  }
  /** @returns whether it was one */
  delete(user: DomainUser): boolean {
    return this.#users.delete(user)
  }
  /** The root, its levels or what the table records changed: the entries of all functions follow. */
  refresh(): void {
    for (const user of this.#users) user.refresh()
  }

  /**
   * Lets all units and functions forget a range, and waits. Where a hypervisor shadows the tables, only naturally aligned pieces
   * of the range are named; else one command covers it.
   */
  flush(range: IovaRange, directories: boolean): void {
    if (this.#npCache && range.last - range.first !== ALL.last) {
      for (let at = range.first; at <= range.last;) {
        const bytes = alignedPart(at, range.last)
        this.#submit({ first: at, last: at + bytes - 1n }, directories)
        at += bytes
      }
    } else this.#submit(range, directories)
    for (const unit of this.#units()) unit.wait()
  }

  #submit(range: IovaRange, directories: boolean): void {
    const guest = this.#mode === 'v2'
    if (guest) {
      for (const { unit, guestDomain } of this.#users)
        unit.submit([{ kind: 'pages', domain: guestDomain, ...range, directories, pasid: 0 }])
    } else {
      for (const unit of this.#units()) unit.submit([{ kind: 'pages', domain: this.#id, ...range, directories }])
      for (const { unit, ids } of this.nested)
        for (const domain of ids) unit.submit([{ kind: 'pages', domain, ...range, directories }])
    }
    for (const user of this.#users) user.unit.submit(user.devicePages(range, guest))
  }
  #units(): Set<IvhdUnit> {
    const units = new Set<IvhdUnit>()
    for (const { unit } of this.#users) units.add(unit)
    for (const { unit } of this.nested) units.add(unit)
    return units
  }
}

/** Bytes of the largest naturally aligned power of two that begins at `at` and ends at `last` or before. */
function alignedPart(at: bigint, last: bigint): bigint {
  const fits = 1n << BigInt((last - at + 1n).toString(2).length - 1)
  const aligned = at & -at
  return aligned !== 0n && aligned < fits ? aligned : fits
}
