/**
 * Which process each PASID of a function belongs to. Address spaces of processes can be attached for a PASID, and nothing else:
 * paging domains of this driver have no set_dev_pasid, so that a user's attach is refused. drivers/iommu/amd/pasid.c
 * iommu_sva_set_dev_pasid, amd_iommu_remove_dev_pasid.
 */
import { type Domain, type Pasid, UapiError } from '@ioasis/core'
import type { Gcr3Table } from './gcr3-table.ts'
import { SvaDomain } from './sva-domain.ts'

/** The PASIDs of one function. */
export class ProcessPasids {
  readonly #most: number
  readonly #flush: (pasid: Pasid) => void
  readonly #domains = new Map<Pasid, SvaDomain>()
  /** Where the processes' tables were entered. */
  #gcr3: Gcr3Table | undefined

  /** @param most PASIDs from 0 on @param flush lets unit and function forget a PASID, and waits */
  constructor(most: number, flush: (pasid: Pasid) => void) {
    this.#most = most
    this.#flush = flush
  }

  /** What is attached, by PASID. */
  get attached(): ReadonlyMap<Pasid, SvaDomain> {
    return this.#domains
  }
  /**
   * Gives a PASID to a process.
   * @param gcr3 the function's table; undefined: it has none, or PASIDs are off
   * @throws UapiError EOPNOTSUPP for another kind of domain, or in place of one; EINVAL; ENOMEM
   */
  attach(domain: Domain, pasid: Pasid, gcr3: Gcr3Table | undefined): void {
    const call = 'iommu_sva_set_dev_pasid'
    if (!(domain instanceof SvaDomain) || this.#domains.has(pasid)) throw new UapiError('EOPNOTSUPP', call, { pasid })
    if (pasid <= 0 || pasid >= this.#most || !gcr3) throw new UapiError('EINVAL', call, { pasid })
    gcr3.set(pasid, domain.root)
    this.#gcr3 = gcr3
    this.#domains.set(pasid, domain)
    this.#flush(pasid)
  }
  /** Takes a PASID away; harmless when nothing is attached for it. */
  clear(pasid: Pasid): void {
    if (!this.#domains.delete(pasid)) return
    this.#gcr3?.clear(pasid)
    this.#flush(pasid)
  }
  clearAll(): void {
    for (const pasid of this.#domains.keys()) this.clear(pasid)
  }
  /** The function's table is no longer in use: whoever gives it back flushes all of it. */
  forget(): void {
    this.#domains.clear()
    this.#gcr3 = undefined
  }
}
