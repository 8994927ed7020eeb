/**
 * What the SPAPR back ends tell the audit: the memory that windows may lead into, that counts are what entries and charges add
 * up to, and what Linux leaks and this follows.
 */
import { type AddressSpace, type AuditSource, type Claim, type DmaWindow, RegisteredMemory } from '@ioasis/core'
import type { SpaprBackend } from './backend.ts'
import type { SpaprContainer } from './container.ts'

/** The containers of one host. */
export class SpaprClaims implements AuditSource {
  readonly name = 'vfio spapr'
  readonly #backend: SpaprBackend

  constructor(backend: SpaprBackend) {
    this.#backend = backend
  }
  claims(): readonly Claim[] {
    const claims: Claim[] = []
    for (const container of this.#backend.containers) keptBy(container, claims)
    for (const space of this.#backend.ledger.spaces) this.#charges(space, claims)
    for (const space of this.#backend.spaces) this.#orphans(space, claims)
    return claims
  }

  /** What is charged is what windows and ENABLE account for, and what was lost. */
  #charges(space: AddressSpace, claims: Claim[]): void {
    const { ledger, containers } = this.#backend
    const lost = ledger.lost(space)
    let expected = lost
    for (const container of containers) {
      if (container.space !== space) continue
      expected += container.enabledPages
      for (const window of container.windows.all) expected += ledger.pagesOf(window.tableBytes)
    }
    claims.push({ kind: 'count', what: 'SPAPR pages charged', actual: ledger.charged(space), expected })
    if (lost > 0 && space.alive)
      claims.push({ kind: 'leak', what: `${lost} locked pages of tables that could not be made`, source: CREATE })
  }
  #orphans(space: AddressSpace, claims: Claim[]): void {
    const used = new Set([...this.#backend.containers].flatMap((container) => container.registered))
    const { regions } = RegisteredMemory.of(space)
    for (const region of regions)
      if (!used.has(region))
        claims.push({
          kind: 'leak',
          what: `${region.pages} pages registered at ${region.first.toString(16)} that nobody can unregister`,
          source: UNREGISTER,
        })
    if (regions.length === 0 && !space.alive) this.#backend.spaces.delete(space)
  }
}

const CREATE = 'drivers/vfio/vfio_iommu_spapr_tce.c tce_iommu_create_table'
const UNREGISTER = 'drivers/vfio/vfio_iommu_spapr_tce.c tce_iommu_unregister_pages'

/** A window without entries leads nowhere, and must: an empty claim says that it is a user's. */
function keptBy({ space, v2, windows }: SpaprContainer, claims: Claim[]): void {
  if (!space) return
  for (const window of windows.all) {
    claims.push({ kind: 'kept', domain: window, source: 'registered', hpa: 0, bytes: 0n })
    if (v2) keptByRegions(window, space, claims)
    else keptByPins(window, space, windows.entriesOf(window, space).pinned ?? new Map(), claims)
  }
}

function keptByRegions(domain: DmaWindow, space: AddressSpace, claims: Claim[]): void {
  for (const { hpas } of RegisteredMemory.of(space).regions) {
    let first = hpas[0] as number
    for (let i = 1; i <= hpas.length; i++) {
      const end = (hpas[i - 1] as number) + space.pageBytes
      if (i < hpas.length && hpas[i] === end) continue
      claims.push({ kind: 'kept', domain, source: 'registered', hpa: first, bytes: BigInt(end - first) })
      first = hpas[i] as number
    }
  }
}

function keptByPins(
  domain: DmaWindow,
  { frames }: AddressSpace,
  pinned: ReadonlyMap<number, number>,
  claims: Claim[],
): void {
  const bytes = BigInt(frames.pageBytes)
  for (const hpa of pinned.values())
    if (frames.pinsOf(hpa) > 0) claims.push({ kind: 'kept', domain, source: 'pin', hpa, bytes })
}
