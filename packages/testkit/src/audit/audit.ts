/**
 * The audit: every part of a host claims what it holds (core's `AuditSource`, and the units), and the claims are proved to
 * agree. It trusts no part: tables are read by the drivers' slow readers, caches by the units, and the two are compared.
 */
import { AuditSource, type Claim, IommuGroups, IommuUnit, type IovaRange, type Token } from '@ioasis/core'
import {
  type AuditedGroup,
  countsBalance,
  domainIdsAreUnique,
  groupsAreInOneDomain,
  requestersHaveOneDomain,
} from './attachments.ts'
import { cachesAgree, interruptWindowIsFree, targetsAreKept } from './translations.ts'

/** What an audit found. */
export interface AuditReport {
  /** Claims compared: 0 means that nobody was asked. */
  readonly claims: number
  /** Each contradiction in a sentence; empty: the host is sound. */
  readonly violations: readonly string[]
  /** What Linux leaks and this host follows, each in a sentence; they are no violations. */
  readonly known: readonly string[]
}

/** What the audit needs of a host; core's `Host` has it. */
export interface AuditedHost {
  all<T>(key: Token<T>): readonly T[]
  find<T>(key: Token<T>): T | undefined
}

/**
 * Proves that claims agree with each other and with the groups.
 * @param elsewhere units whose interrupt messages go to another window than that of x86
 * @returns each contradiction in a sentence
 */
export function contradictions(
  claims: readonly Claim[],
  groups: readonly AuditedGroup[] = [],
  elsewhere: ReadonlySet<string> = new Set(),
): readonly string[] {
  return [
    ...cachesAgree(claims),
    ...targetsAreKept(claims),
    ...interruptWindowIsFree(claims.filter((claim) => !('unit' in claim && elsewhere.has(claim.unit)))),
    ...requestersHaveOneDomain(claims),
    ...domainIdsAreUnique(claims),
    ...groupsAreInOneDomain(claims, groups),
    ...countsBalance(claims),
  ]
}

/**
 * Audits a host at rest: between operations, with every unmap synced.
 * @param near looks only at translations that touch this range, for an audit after each step of a long test
 */
export function audit(host: AuditedHost, near?: IovaRange): AuditReport {
  const sources = host.all(AuditSource)
  const named = new Set(sources.map((s) => s.name))
  const units = host.all(IommuUnit).filter((u) => !named.has(u.name))
  const all = [...sources.flatMap((s) => s.claims(near)), ...units.flatMap((u) => u.inspect())]
  const claims = near ? all.filter((claim) => concerns(claim, near)) : all
  const known = claims.flatMap((claim) => (claim.kind === 'leak' ? [`${claim.what} (${claim.source})`] : []))
  const elsewhere = host.all(IommuUnit).filter((unit) => unit.msi?.address !== undefined)
  const names = new Set(elsewhere.map((unit) => unit.name))
  return { claims: claims.length, violations: contradictions(claims, host.find(IommuGroups)?.groups, names), known }
}
function concerns(claim: Claim, near: IovaRange): boolean {
  if (claim.kind !== 'cached') return true
  return claim.iova <= near.last && claim.iova + claim.bytes > near.first
}

/** @throws Error with all contradictions when the host is not sound */
export function mustBeSound(host: AuditedHost, near?: IovaRange): void {
  const { violations } = audit(host, near)
  if (violations.length > 0) throw new Error(`the audit found:\n  ${violations.join('\n  ')}`)
}

/** The audit of a long test: after each step what the step touched, and everything every now and then. */
export class SteppedAudit {
  readonly #host: AuditedHost
  readonly #every: number
  #step = 0
  #touched: IovaRange = { first: 0n, last: 0n }

  /** @param every steps from one full audit to the next */
  constructor(host: AuditedHost, every = 256) {
    this.#host = host
    this.#every = every
  }
  /** Steps audited so far. */
  get steps(): number {
    return this.#step
  }
  /** Those of them that everything was looked at after. */
  get full(): number {
    return Math.floor(this.#step / this.#every)
  }
  /**
   * @param touched the range the step mapped, unmapped or accessed; undefined: none, such as an attach, after which the range
   *   touched last is looked at again
   * @throws Error as `mustBeSound`
   */
  step(touched: IovaRange | undefined): void {
    this.#step++
    if (touched) this.#touched = touched
    mustBeSound(this.#host, this.#step % this.#every === 0 ? undefined : this.#touched)
  }
}
