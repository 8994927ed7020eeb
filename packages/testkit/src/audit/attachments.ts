/** Who is attached where: one domain per requester, one domain id per domain, one domain per group. */
import { type Claim, formatBdf, type Group } from '@ioasis/core'
import { claimsOf } from './translations.ts'

type Attached = Extract<Claim, { kind: 'attached' }>
/** What the audit asks of a group. */
export type AuditedGroup = Pick<Group, 'id' | 'devices'>

const name = (a: Attached): string => formatBdf(a.requester, a.segment)

/** A requester has one domain. */
export function requestersHaveOneDomain(claims: readonly Claim[]): readonly string[] {
  const seen = new Map<string, Attached>()
  const wrong: string[] = []
  for (const attached of claimsOf(claims, 'attached')) {
    const other = seen.get(name(attached))
    if (other && other.domain !== attached.domain)
      wrong.push(`${name(attached)} is attached to two domains, on ${other.unit} and ${attached.unit}`)
    seen.set(name(attached), attached)
  }
  return wrong
}

/** Within a unit a domain id names one paging domain: two of them would share what the unit caches. */
export function domainIdsAreUnique(claims: readonly Claim[]): readonly string[] {
  const seen = new Map<string, object>()
  const wrong: string[] = []
  for (const claim of claims) {
    if (claim.kind !== 'mapped' && !(claim.kind === 'attached' && claim.type === 'paging')) continue
    if (claim.unit === '') continue
    const pasid = claim.kind === 'mapped' && claim.pasid ? ` PASID ${claim.pasid}` : ''
    const key = `${claim.unit} domain id ${claim.tag}${pasid}`
    const other = seen.get(key)
    if (other && other !== claim.domain) wrong.push(`${key} names two domains`)
    seen.set(key, claim.domain)
  }
  return [...new Set(wrong)]
}

/** All members of a group are in one domain. */
export function groupsAreInOneDomain(claims: readonly Claim[], groups: readonly AuditedGroup[]): readonly string[] {
  const attached = claimsOf(claims, 'attached')
  const wrong: string[] = []
  for (const group of groups) {
    const ids = group.devices.flatMap(({ fn, requesterIds }) =>
      fn ? requesterIds.map((id) => ({ segment: fn.segment, id })) : [],
    )
    const members = attached.filter((a) => ids.some((m) => m.segment === a.segment && m.id === a.requester))
    // Blocked is the same everywhere: each driver may have an object of its own for it.
    const domains = new Set(members.map((a) => (a.type === 'paging' ? a.domain : a.type)))
    if (domains.size > 1)
      wrong.push(
        `group ${group.id} is in ${domains.size} domains: ${members.map((a) => `${name(a)} ${a.type}`).join(', ')}`,
      )
  }
  return wrong
}

/** Counts are what they must be at rest. */
export function countsBalance(claims: readonly Claim[]): readonly string[] {
  return claimsOf(claims, 'count')
    .filter((c) => c.actual !== c.expected)
    .map((c) => `${c.what}: ${c.actual} instead of ${c.expected}`)
}
