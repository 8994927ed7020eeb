/**
 * Who translates each requester of one unit. Several devices may share a requester id: functions behind a bridge that puts
 * its own on their requests. drivers/iommu/intel/iommu.c domain_context_mapping_one, context_present_cache_flush,
 * domain_context_clear_one; pasid.c intel_context_flush_no_pasid.
 *
 * Departs from Linux in two ways, both towards more isolation than is promised there: an entry that is replaced changes in
 * one 128-bit store and is flushed afterwards, where Linux clears it first and lets DMA fault in between; and a shared entry
 * goes when the last device that uses it leaves, where Linux clears it with the first.
 */
import type { Bdf } from '@ioasis/core'
import { type ContextTables, domainOf, isPresent, NO_ENTRY, withoutPresent } from './context-table.ts'
import { contextOf, type Invalidation, translationsOf } from './invalidation.ts'
import type { EntryWords } from './unit-memory.ts'

/** What it needs of its unit. */
interface Unit {
  readonly contexts: ContextTables
  readonly capabilities: { readonly cachingMode: boolean }
  invalidate(requests: readonly Invalidation[]): void
  flushWriteBuffer(): void
}

/** One device's wish for a requester. */
interface Use {
  readonly device: object
  readonly entry: EntryWords
}

const same = (a: EntryWords, b: EntryWords): boolean => a.every((word, i) => word === b[i])

/** The context entries of one unit, with those who use them. */
export class RequesterEntries {
  readonly #unit: Unit
  readonly #uses = new Map<Bdf, readonly Use[]>()

  constructor(unit: Unit) {
    this.#unit = unit
  }

  /** Requesters with a present entry. */
  get count(): number {
    return this.#uses.size
  }
  /** Devices that use a requester's entry: the one it was written for comes last. */
  usersOf(requester: Bdf): readonly object[] {
    return (this.#uses.get(requester) ?? []).map((use) => use.device)
  }

  /** Gives requesters an entry; the tables for them were prepared. DMA sees the old entry or the new one. */
  set(device: object, requesters: readonly Bdf[], entry: EntryWords): void {
    for (const requester of requesters) {
      const others = (this.#uses.get(requester) ?? []).filter((use) => use.device !== device)
      this.#uses.set(requester, [...others, { device, entry }])
    }
    this.#write(requesters.map((requester) => [requester, entry]))
  }

  /** Takes a device's entries away. One that others use goes on as the last of them wanted it. */
  clear(device: object, requesters: readonly Bdf[]): void {
    const gone: Bdf[] = []
    const kept: [Bdf, EntryWords][] = []
    for (const requester of requesters) {
      const others = (this.#uses.get(requester) ?? []).filter((use) => use.device !== device)
      const last = others.at(-1)
      if (last) {
        this.#uses.set(requester, others)
        kept.push([requester, last.entry])
      } else if (this.#uses.delete(requester)) gone.push(requester)
    }
    this.#write(kept)
    this.#erase(gone)
  }

  #write(entries: readonly (readonly [Bdf, EntryWords])[]): void {
    const { contexts, capabilities } = this.#unit
    const flushes: Invalidation[] = []
    let changed = false
    for (const [requester, entry] of entries) {
      const old = contexts.read(requester)
      if (same(old, entry)) continue
      changed = true
      contexts.write(requester, entry)
      if (isPresent(old)) flushes.push(contextOf(domainOf(old), requester), translationsOf(domainOf(old)))
      // A unit in caching mode may hold "not present", under domain id 0.
      else if (capabilities.cachingMode) flushes.push(contextOf(0, requester), translationsOf(domainOf(entry)))
    }
    if (flushes.length > 0) this.#unit.invalidate(flushes)
    else if (changed) this.#unit.flushWriteBuffer()
  }

  /** P goes first and the rest after the flush, so that nothing else is ever read: "6.5.3.3 Guidance to Software for Invalidations". */
  #erase(requesters: readonly Bdf[]): void {
    if (requesters.length === 0) return
    const { contexts } = this.#unit
    const flushes: Invalidation[] = []
    for (const requester of requesters) {
      const old = contexts.read(requester)
      contexts.write(requester, withoutPresent(old))
      flushes.push(contextOf(domainOf(old), requester), translationsOf(domainOf(old)))
    }
    this.#unit.invalidate(flushes)
    for (const requester of requesters) contexts.write(requester, NO_ENTRY)
  }
}
