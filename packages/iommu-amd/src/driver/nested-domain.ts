/**
 * A first stage that a guest wrote (v2) on a domain that holds its memory (v1): the guest's own device table entry names its
 * GCR3 table, in guest-physical addresses. drivers/iommu/amd/nested.c, iommufd.c amd_iommufd_viommu_init.
 *
 * The guest tags translations with domain ids of its own choice. Within one slice each gets one id of the host.
 */
import {
  type Claim,
  type Cpu,
  type CStruct,
  type Hpa,
  type IovaRange,
  type NestedDomain,
  struct,
  u64,
  UapiError,
  type UserData,
  type Viommu,
  hiWord,
  loWord,
  split,
} from '@ioasis/core'
import { DTE0, DTE1, DTE2 } from '../spec/device-table.ts'
import { GUEST_PAGING } from '../spec/guest-page-table.ts'
import type { AmdDomain } from './domain.ts'
import type { NestedIds } from './domain-users.ts'
import type { DomainIds } from './domain-ids.ts'
import { type Dte, getDte } from './device-table-entry.ts'
import { guestLeaves, guestLevelsOf, guestRoots } from './guest-reader.ts'
import type { IvhdUnit } from './ivhd-unit.ts'

/** IOMMU_HWPT_DATA_AMD_GUEST. */
export const HWPT_DATA_AMD_GUEST = 3
/** `struct iommu_hwpt_amd_guest`: the guest's device table entry. */
export interface IommuHwptAmdGuest {
  readonly dte0: bigint
  readonly dte1: bigint
  readonly dte2: bigint
  readonly dte3: bigint
}
/** Its layout. */
export const iommuHwptAmdGuest: CStruct<IommuHwptAmdGuest> = struct('iommu_hwpt_amd_guest', {
  dte0: u64,
  dte1: u64,
  dte2: u64,
  dte3: u64,
})

/** A host id that stands for one of the guest's. */
interface HostId {
  readonly id: number
  users: number
}

/** One guest's slice of a unit. */
export class AmdViommu implements Viommu, NestedIds {
  readonly unit: IvhdUnit
  readonly parent: AmdDomain
  /** Present only where the driver was told to connect it: Linux 7.2 has the code and no caller. */
  readonly allocNested?: (data: UserData) => NestedDomain
  readonly #ids: DomainIds
  readonly #hosts = new Map<number, HostId>()

  /** @param how `guestLevels` of the CPUs' tables; `nested`: first stages can be made */
  constructor(
    unit: IvhdUnit,
    parent: AmdDomain,
    how: { readonly ids: DomainIds; readonly guestLevels: 4 | 5; readonly nested: boolean },
  ) {
    this.unit = unit
    this.parent = parent
    this.#ids = how.ids
    parent.nested.add(this)
    if (how.nested) this.allocNested = (data) => new AmdNestedDomain(this, guestDte(data, how.guestLevels))
  }

  /** Host ids in use: what changes in the parent is flushed under each. */
  get ids(): Iterable<number> {
    return [...this.#hosts.values()].map(({ id }) => id)
  }
  get count(): number {
    return this.#hosts.size
  }
  /** @returns the host's id for one of the guest's @throws UapiError ENOSPC */
  take(guest: number): number {
    const known = this.#hosts.get(guest)
    if (known) {
      known.users++
      return known.id
    }
    const id = this.#ids.take()
    this.#hosts.set(guest, { id, users: 1 })
    return id
  }
  /** A first stage with that id is gone. */
  give(guest: number): void {
    const host = this.#hosts.get(guest)
    if (!host) throw new Error(`AMD-Vi: guest domain ${guest} was not in use`)
    if (--host.users > 0) return
    this.#hosts.delete(guest)
    this.#ids.free(host.id)
  }
  destroy(): void {
    this.parent.nested.delete(this)
  }
}

/** One first stage. */
export class AmdNestedDomain implements NestedDomain {
  readonly type = 'nested'
  readonly viommu: AmdViommu
  /** The guest's entry. */
  readonly guest: Dte
  /** What its translations are tagged with. */
  readonly id: number

  /** @throws UapiError ENOSPC */
  constructor(viommu: AmdViommu, guest: Dte) {
    this.viommu = viommu
    this.guest = guest
    this.id = viommu.take(this.#guestId)
  }
  get parent(): AmdDomain {
    return this.viommu.parent
  }
  /** What the guest's tables and the parent's map together, for the audit. @param cpu reads them @param near as in `AuditSource` */
  claims(cpu: Cpu, near?: IovaRange): readonly Claim[] {
    const { parent, viommu } = this
    const claims: Claim[] = []
    const toHost = (gpa: bigint): Hpa | undefined => parent.lookup(gpa)
    const { name } = viommu.unit
    guestRoots(cpu, this.guest, toHost, (pasid, root) => {
      guestLeaves(cpu, { root, levels: guestLevelsOf(this.guest), near }, toHost, (iova, bytes, gpa, write) => {
        parent.pieces({ first: gpa, last: gpa + bytes - 1n }, (at, size, hpa, allowed) => {
          const place = { iova: iova + (at - gpa), bytes: size, hpa, write: write && allowed }
          claims.push({ kind: 'mapped', domain: this, unit: name, tag: this.id, pasid, ...place })
        })
      })
    })
    return claims
  }
  free(): void {
    this.viommu.give(this.#guestId)
  }
  get #guestId(): number {
    return getDte(this.guest, 1, DTE1.DomainId)
  }
}

/** Reads the guest's entry and checks it (validate_gdte_nested). @throws UapiError EOPNOTSUPP, EINVAL, EFAULT */
function guestDte(data: UserData, guestLevels: 4 | 5): Dte {
  const call = 'amd_iommu_alloc_domain_nested'
  if (data.type !== HWPT_DATA_AMD_GUEST) throw new UapiError('EOPNOTSUPP', call, { type: data.type })
  const { dte0, dte1, dte2, dte3 } = data.read(iommuHwptAmdGuest, HWPT_DATA_AMD_GUEST)
  const dte = Int32Array.from([dte0, dte1, dte2, dte3].flatMap((word) => (split(word), [loWord(), hiWord()])))
  const refuse = (why: string): never => {
    throw new UapiError('EINVAL', call, { why })
  }
  const rootBits = ((dte[0] as number) & ~0xfff) | ((dte[1] as number) & 0xf_ffff)
  if (getDte(dte, 0, DTE0.Mode) !== 0 || rootBits !== 0) refuse('a host table is named')
  const gcr3 = getDte(dte, 0, DTE0.GCR3_14_12) | getDte(dte, 1, DTE1.GCR3_30_15) | getDte(dte, 1, DTE1.GCR3_51_31)
  if (getDte(dte, 0, DTE0.V) === 1 && getDte(dte, 0, DTE0.GV) === 1 && gcr3 === 0) refuse('no GCR3 table is named')
  const paging = getDte(dte, 2, DTE2.GuestPagingMode)
  if (paging !== GUEST_PAGING.LEVELS_4 && paging !== GUEST_PAGING.LEVELS_5) refuse('the paging mode is reserved')
  if (getDte(dte, 0, DTE0.GLX) === 3) refuse('GLX is reserved')
  if (paging === GUEST_PAGING.LEVELS_5 && guestLevels < 5) throw new UapiError('EOPNOTSUPP', call, { levels: 5 })
  return dte
}
