/**
 * What a function is attached to: the guest table it keeps for that, the device table entry that says so, and what the audit is
 * told of it. drivers/iommu/amd/iommu.c init_gcr3_table, set_dte_entry.
 */
import { type Bdf, type Claim, type Cpu, type Domain, type IovaRange, UapiError } from '@ioasis/core'
import {
  type Dte,
  type DteUser,
  emptyDte,
  guestTable,
  hostTable,
  nestGuest,
  passThrough,
} from './device-table-entry.ts'
import { AmdDomain } from './domain.ts'
import type { DomainUser } from './domain-users.ts'
import type { DomainIds } from './domain-ids.ts'
import type { Features } from './features.ts'
import type { FunctionCaps } from './function-caps.ts'
import { gcr3Level, Gcr3Table } from './gcr3-table.ts'
import { guestLeaves } from './guest-reader.ts'
import type { DriverHost, IvhdUnit } from './ivhd-unit.ts'
import { AmdNestedDomain } from './nested-domain.ts'
import type { SvaDomain } from './sva-domain.ts'

/** What a function is attached to, and what it keeps for that. */
export interface Attachment extends DomainUser {
  readonly domain: Domain
  readonly gcr3: Gcr3Table | undefined
}

/** A function's own guest table, and the id of what is found through it. */
export type GuestTables = Pick<Attachment, 'gcr3' | 'guestDomain'>
/** A function without one. */
export const NO_GUEST_TABLES: GuestTables = Object.freeze({ gcr3: undefined, guestDomain: 0 })

/**
 * init_gcr3_table(): as many PASIDs as function and units have; a v2 table is PASID 0's.
 * @throws UapiError ENOMEM, ENOSPC, EINVAL for more levels than the units have; nothing is kept then
 */
export function makeGuestTables(
  domain: Domain,
  pasids: number,
  { host, ids, features }: { readonly host: DriverHost; readonly ids: DomainIds; readonly features: Features },
): GuestTables {
  const glx = gcr3Level(Math.max(pasids, 1))
  if (glx > features.maxGcr3Level) throw new UapiError('EINVAL', 'setup_gcr3_table', { levels: glx })
  const guestDomain = ids.take()
  let gcr3: Gcr3Table | undefined
  try {
    gcr3 = new Gcr3Table(glx, host)
    if (domain instanceof AmdDomain) gcr3.set(0, domain.root)
    return { gcr3, guestDomain }
  } catch (error) {
    gcr3?.free()
    ids.free(guestDomain)
    throw error
  }
}

/** What decides an entry besides the attachment. */
export interface EntryParts {
  /** What firmware asks for. */
  readonly initial: Dte | undefined
  readonly caps: FunctionCaps
  readonly identityId: number
  readonly guestLevels: 4 | 5
}

/** set_dte_entry(), set_dte_nested(). */
export function entryOf({ domain, gcr3, guestDomain }: Attachment, parts: EntryParts): Dte {
  const { initial, caps, identityId, guestLevels } = parts
  const dte = emptyDte(initial)
  const user = (id: number): DteUser => ({ domain: id, ats: caps.atsEnabled })
  if (gcr3) {
    const { root, glx } = gcr3
    const giov = domain instanceof AmdDomain
    guestTable(dte, { root, glx, giov, pageRequests: caps.priEnabled, levels: guestLevels }, user(guestDomain))
  } else if (domain instanceof AmdNestedDomain) {
    const { parent, guest, id } = domain
    hostTable(dte, { root: parent.root, levels: parent.levels, dirty: parent.recording }, user(id))
    nestGuest(dte, guest)
  } else if (domain instanceof AmdDomain) {
    hostTable(dte, { root: domain.root, levels: domain.levels, dirty: domain.recording }, user(domain.id))
  } else passThrough(dte, user(identityId))
  return dte
}

/** Whom the audit is told of. */
export interface AttachedFunction {
  readonly unit: IvhdUnit
  /** Requester ids of which it is the last user, or which nobody uses. */
  readonly requesters: readonly Bdf[]
  readonly domain: Domain
  readonly guestDomain: number
  readonly identity: { readonly domain: Domain; readonly id: number }
  readonly pasids: ReadonlyMap<number, SvaDomain>
  readonly guestLevels: 4 | 5
}

/** What is attached for its requester ids, and what processes map for its PASIDs. @param near as in `AuditSource` */
export function attachedClaims(of: AttachedFunction, cpu: Cpu, near?: IovaRange): readonly Claim[] {
  const { unit, domain, guestDomain } = of
  if (domain instanceof AmdNestedDomain) return domain.claims(cpu, near)
  const { type, tag } = tagOf(of)
  const claims = of.requesters.map((requester): Claim => {
    return { kind: 'attached', unit: unit.name, segment: unit.segment, requester, domain, type, tag }
  })
  for (const [pasid, sva] of of.pasids) {
    const table = { root: BigInt(sva.root), levels: of.guestLevels, near }
    guestLeaves(cpu, table, Number, (iova, bytes, target, write) => {
      const place = { tag: guestDomain, pasid, iova, bytes, hpa: Number(target), write }
      claims.push({ kind: 'mapped', domain: sva, unit: unit.name, ...place })
    })
  }
  return claims
}

function tagOf({ domain, guestDomain, identity }: AttachedFunction): {
  readonly type: 'paging' | 'identity' | 'blocked'
  readonly tag: number
} {
  if (domain instanceof AmdDomain) return { type: 'paging', tag: domain.mode === 'v2' ? guestDomain : domain.id }
  return domain === identity.domain ? { type: 'identity', tag: identity.id } : { type: 'blocked', tag: -1 }
}
