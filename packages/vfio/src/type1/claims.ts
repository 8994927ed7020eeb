/** What type1 tells the audit: the pages its domains may reach, and that what is charged is what is pinned. */
import type { AuditSource, Claim, IovaRange } from '@ioasis/core'
import type { Type1Backend } from './backend.ts'
import type { Type1 } from './type1.ts'

const EVERYTHING: IovaRange = { first: 0n, last: (1n << 64n) - 1n }

/** The containers of one host. */
export class Type1Claims implements AuditSource {
  readonly name = 'vfio type1'
  readonly #backend: Type1Backend
  readonly #pageBytes: number

  constructor(backend: Type1Backend, pageBytes: number) {
    this.#backend = backend
    this.#pageBytes = pageBytes
  }
  claims(near: IovaRange = EVERYTHING): readonly Claim[] {
    const claims: Claim[] = []
    for (const type1 of this.#backend.containers) {
      this.#keptBy(type1, near, claims)
      claims.push(this.#charges(type1))
    }
    return claims
  }

  #keptBy({ domains, mappings }: Type1, { first, last }: IovaRange, claims: Claim[]): void {
    const kept = mappings.within(first, last).flatMap((mapping) => mapping.kept)
    for (const { domain } of domains.all) {
      // A domain without mappings keeps nothing, and must map nothing: an empty claim says that it is a user's.
      claims.push({ kind: 'kept', domain, source: 'pin', hpa: 0, bytes: 0n })
      for (const { source, hpa, bytes } of kept) claims.push({ kind: 'kept', domain, source, hpa, bytes })
    }
  }
  #charges({ mappings }: Type1): Claim {
    let charged = 0
    let pinned = 0
    for (const mapping of mappings.all) {
      charged += mapping.charged
      // Pages that emulated devices hold are among those pinned for domains, where there is one.
      if (!mapping.pinned) pinned += mapping.heldPages
      for (const { source, bytes } of mapping.kept) if (source === 'pin') pinned += Number(bytes) / this.#pageBytes
    }
    return { kind: 'count', what: 'type1 pages charged', actual: charged, expected: pinned }
  }
}
