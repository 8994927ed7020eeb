/** The caches of one unit together: what invalidation commands act on, and the search that is not on the hit path. */
import type { DmaRequest } from '@ioasis/core'
import { ContextCache } from './context-cache.ts'
import { Iotlb, type IotlbTable } from './iotlb.ts'

/** Context cache and IOTLB of one unit. */
export class TranslationCaches {
  readonly contexts: ContextCache
  readonly iotlb: Iotlb
  /** Requester bits that tag an IOTLB entry beside the domain id: all in QEMU, none by the specification. */
  readonly tagMask: number
  /** Where the last successful `find` found the leaf. */
  table: IotlbTable
  at = -1

  /** @param byRequester whether IOTLB entries belong to one requester */
  constructor(byRequester: boolean) {
    this.tagMask = byRequester ? 0xffff : 0
    this.contexts = new ContextCache(this.tagMask)
    this.iotlb = new Iotlb(byRequester)
    this.table = this.iotlb.pages
  }

  /** The owner word of a requester's IOTLB entries: the domain id above, the tag below. @param flags word 0 of its context entry */
  owner(flags: number, requester: number): number {
    return (flags & -0x1_0000) | (requester & this.tagMask)
  }

  /**
   * Searches the leaf sizes, and what the requester filled in the domain it was in before.
   * @param flags word 0 of the requester's context entry
   * @param from level of the smallest leaf to search: 1, or 2 when the hit path has just done that
   * @returns whether `table` and `at` now name an entry; it may lack the permission asked for only if `anyPermission`
   */
  find(request: DmaRequest, flags: number, from: number, anyPermission: boolean): boolean {
    const wanted = anyPermission ? 0 : request.access
    if (flags & 0x80 /* CTX.MOVED */ && this.#findFormer(request, flags, wanted)) return true
    const { pages, large, huge } = this.iotlb
    if (!large.used && !huge.used && (from > 1 || !pages.used)) return false
    return this.#findOwned(request, this.owner(flags, request.requester), wanted, from)
  }

  /** All IOTLB entries, and with them all memory of former domains. */
  dropIotlb(): void {
    this.iotlb.dropAll()
    this.contexts.former.clear()
  }
  /** The IOTLB entries of a domain. */
  dropIotlbDomain(domain: number): void {
    this.iotlb.dropDomain(domain)
    this.contexts.forgetFormer(domain)
  }
  /** Everything. */
  dropAll(): void {
    this.iotlb.dropAll()
    this.contexts.reset()
  }

  #findFormer(request: DmaRequest, flags: number, wanted: number): boolean {
    const { requester } = request
    const former = this.contexts.former.get(requester)
    if (former !== undefined) return this.#findOwned(request, this.owner(former << 16, requester), wanted, 0)
    this.contexts.settled(requester, flags)
    return false
  }
  /** @param from smallest level to search; 0: all, and only what this requester filled */
  #findOwned(request: DmaRequest, owner: number, wanted: number, from: number): boolean {
    const { iotlb } = this
    for (let level = from || 1; level <= 3; level++) {
      const table = iotlb.table(level)
      const at = table.used ? table.find(request.iovaHi, request.iovaLo, owner) : -1
      if (at < 0 || ((table.words[at + 3] as number) & wanted) !== wanted) continue
      if (from === 0 && table.words[at + 5] !== (request.requester & 0xffff)) continue
      this.table = table
      this.at = at
      return true
    }
    return false
  }
}
