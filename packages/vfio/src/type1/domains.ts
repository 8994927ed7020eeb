/** The domains of a container: groups with equal IOMMUs share one. drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group. */
import { type Group, type IommuDriver, type IovaRange, type PagingDomain, UapiError } from '@ioasis/core'
import type { Type1Parameters } from './parameters.ts'
import { forbidden, narrowed, validAgain, widened, without } from './ranges.ts'

/** One domain and who uses it. */
export interface SharedDomain {
  readonly domain: PagingDomain
  readonly driver: IommuDriver | undefined
  /** It makes No Snoop harmless; domains that differ in that are not shared. */
  readonly enforced: boolean
  readonly groups: Group[]
}

/** What attaching must not collide with. */
export interface Occupied {
  /** Whether something is mapped in [first, last]. */
  (first: bigint, last: bigint): boolean
}

/** Page sizes when there is no domain: any page of the kernel. */
const anyPage = (pageBytes: number): bigint => BigInt.asUintN(64, -BigInt(pageBytes))

/** The domains of one container. */
export class Domains {
  readonly #list: SharedDomain[] = []
  readonly #pageBytes: number
  readonly #parameters: Type1Parameters
  #valid: readonly IovaRange[] | undefined
  #pageSizes = 0n
  #smallest = 0n

  /** @param pageBytes of the kernel */
  constructor(pageBytes: number, parameters: Type1Parameters) {
    this.#pageBytes = pageBytes
    this.#parameters = parameters
    this.#sizePages()
  }

  get all(): readonly SharedDomain[] {
    return this.#list
  }
  /** Iovas that can be mapped; undefined until the first group with an IOMMU came: all. */
  get valid(): readonly IovaRange[] | undefined {
    return this.#valid
  }
  /** Whether [first, last] can be mapped. */
  isValid(first: bigint, last: bigint): boolean {
    return this.#valid?.some((range) => first >= range.first && last <= range.last) ?? true
  }
  /** Smallest page. */
  get pageBytes(): bigint {
    return this.#smallest
  }
  /** Bit n set: pages of 2^n bytes. Never smaller than the kernel's. */
  get pageSizes(): bigint {
    return this.#pageSizes
  }
  /** VFIO_DMA_CC_IOMMU. */
  get enforced(): boolean {
    return this.#list.every((shared) => shared.enforced)
  }

  /**
   * Attaches a group, to a domain that others use if it fits, else to a new one.
   * @param replay maps what the container has into a new domain
   * @throws UapiError EINVAL for an aperture or reserved regions that collide with mappings, EPERM without interrupt
   * isolation, EOPNOTSUPP, ENOMEM; the group is as it was then
   */
  attach(group: Group, occupied: Occupied, replay: (domain: PagingDomain) => void): void {
    const domain = group.allocDomain()
    const given = (): void => {
      group.detach()
      domain.free()
    }
    try {
      mustAttach(group, domain)
    } catch (error) {
      domain.free()
      throw error
    }
    try {
      const valid = this.#check(group, domain, occupied)
      const enforced = domain.coherency?.enforce() ?? false
      if (!this.#share(group, domain, enforced)) {
        replay(domain)
        this.#list.unshift({ domain, driver: group.devices[0]?.driver, enforced, groups: [group] })
        this.#sizePages()
      }
      this.#valid = valid
    } catch (error) {
      given()
      throw error
    }
  }
  /** @param last called before the last domain goes: what the container has must leave it */
  detach(group: Group, last: () => void): void {
    const at = this.#list.findIndex((shared) => shared.groups.includes(group))
    const shared = this.#list[at]
    if (!shared) throw new Error(`group ${group.id} is in no domain of this container`)
    group.detach()
    shared.groups.splice(shared.groups.indexOf(group), 1)
    if (shared.groups.length === 0) {
      if (this.#list.length === 1) last()
      this.#list.splice(at, 1)
      this.#sizePages()
      shared.domain.free()
      this.#valid = widened(this.#valid, apertures(this.#list))
    }
    const left = validAgain(
      this.#valid,
      this.#list.flatMap(({ groups }) => groups),
    )
    if (left.length > 0) this.#valid = left
  }

  /** vfio_update_pgsize_bitmap: the sizes that all domains have. */
  #sizePages(): void {
    const sizes = this.#list.reduce((common, { domain }) => common & domain.pageSizes, (1n << 64n) - 1n)
    const whole = anyPage(this.#pageBytes)
    this.#pageSizes = sizes & ~whole ? (sizes & whole) | BigInt(this.#pageBytes) : sizes
    this.#smallest = this.#pageSizes & -this.#pageSizes
  }
  /** @returns iovas that can be mapped once the group is here */
  #check(group: Group, { aperture }: PagingDomain, occupied: Occupied): readonly IovaRange[] {
    const refuse = (why: string): UapiError =>
      new UapiError('EINVAL', 'vfio_iommu_type1_attach_group', { group: group.id, why })
    const valid = this.#valid
    const [lowest, highest] = [valid?.[0]?.first, valid?.at(-1)?.last]
    if (lowest !== undefined && highest !== undefined) {
      if (aperture.first > highest || aperture.last < lowest) throw refuse('aperture')
      if (aperture.first > lowest && occupied(lowest, aperture.first - 1n)) throw refuse('aperture')
      if (aperture.last < highest && occupied(aperture.last + 1n, highest)) throw refuse('aperture')
    }
    if (forbidden(group).some(({ first, last }) => occupied(first, last))) throw refuse('reserved')
    const left = without(narrowed(this.#valid, aperture), forbidden(group))
    if (left.length === 0) throw refuse('nothing left')
    if (!this.#parameters.unsafeInterrupts.enabled && !group.devices.every(({ caps }) => caps.isolatedMsi)) {
      throw new UapiError('EPERM', 'vfio_iommu_type1_attach_group', { group: group.id, why: 'interrupts' })
    }
    return left
  }
  /** Moves the group over to a domain of the same kind, if that takes it. @returns whether it did; the new domain is gone then */
  #share(group: Group, fresh: PagingDomain, enforced: boolean): boolean {
    const driver = group.devices[0]?.driver
    for (const shared of this.#list) {
      if (shared.driver !== driver || shared.enforced !== enforced) continue
      group.detach()
      if (group.attach(shared.domain) === 'ok') {
        shared.groups.unshift(group)
        fresh.free()
        return true
      }
      mustAttach(group, fresh)
    }
    return false
  }
}

function mustAttach(group: Group, domain: PagingDomain): void {
  if (group.attach(domain) === 'incompatible') throw new UapiError('EINVAL', 'iommu_attach_group', { group: group.id })
}

const apertures = (list: readonly SharedDomain[]): readonly IovaRange[] => list.map(({ domain }) => domain.aperture)
