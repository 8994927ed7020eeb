/** Devices of the mock. drivers/iommu/iommufd/selftest.c struct mock_dev, mock_domain_nop_attach, mock_domain_set_dev_pasid_nop. */
import {
  type AttachHow,
  type AttachResult,
  type Bdf,
  type Domain,
  type HwInfo,
  type IommuCaps,
  type IommuDevice,
  type IommuDriver,
  NO_PASID,
  type PageRequest,
  type PagingOptions,
  type Pasid,
  type PciFunction,
  type ReservedRegion,
  UapiError,
  type UserData,
  type ViommuSupport,
} from '@ioasis/core'
import {
  CACHE_ENTRIES,
  DEVICE_CACHE_DEFAULT,
  HW_INFO_SELFTEST_REGVAL,
  HW_INFO_TYPE_SELFTEST,
  TEST_HW_INFO,
} from '../spec/mock-data.ts'
import { DEVICE_FLAG, PASID_RESERVED } from '../spec/test-command.ts'
import type { MockDomain } from './domain.ts'
import { type AttachedViommu, MockNestedDomain } from './nested-domain.ts'

/** Width of a PASID. */
const PASID_BITS = 20
/** hwInfo() for whatever there is. */
const ANY_TYPE = 0
/** Requests without a PASID. */
const RID: Pasid = 0

/** What a device needs of its driver. */
export interface DeviceParts {
  readonly driver: IommuDriver
  readonly blocked: Domain
  readonly viommu: ViommuSupport
  /** @param canTrack as `allocDomain` */
  alloc(options: PagingOptions, canTrack: boolean): MockDomain
}

/** A page request as the test sends it. */
export interface MockFault {
  /** 0: none. */
  readonly pasid: number
  readonly group: number
  /** Bits: read, write, execute, privileged. */
  readonly permissions: number
  readonly iova: bigint
}

/** One mock device. It stands on no bus; its name is its number. */
export class MockDevice implements IommuDevice {
  readonly fn: PciFunction | undefined = undefined
  readonly name: string
  readonly driver: IommuDriver
  readonly caps: IommuCaps
  readonly requesterIds: readonly Bdf[] = []
  readonly reserved: readonly ReservedRegion[] = []
  readonly defaultDomain: Domain
  readonly blocked: Domain
  readonly viommu: ViommuSupport
  readonly paging: NonNullable<IommuDevice['paging']>
  readonly nesting: NonNullable<IommuDevice['nesting']>
  readonly pageRequests: NonNullable<IommuDevice['pageRequests']>
  /** Its own cache, which invalidations of a vIOMMU clear. */
  readonly cache: Uint32Array = new Uint32Array(CACHE_ENTRIES).fill(DEVICE_CACHE_DEFAULT)
  readonly #canTrack: boolean
  readonly #attached = new Map<Pasid, Domain>()
  #viommu: { readonly viommu: AttachedViommu; readonly virtId: bigint } | undefined
  /** Attached domains that answer page requests. */
  #faultUsers = 0
  #listener: ((request: PageRequest) => void) | undefined
  /** The next attach for `PASID_RESERVED` fails. */
  #failsNext = false

  /** @param flags `DEVICE_FLAG`s */
  constructor(number: number, flags: number, parts: DeviceParts) {
    this.name = `iommufd_mock${number}`
    this.driver = parts.driver
    this.#canTrack = (flags & DEVICE_FLAG.NO_DIRTY) === 0
    this.defaultDomain = this.blocked = parts.blocked
    this.caps = {
      cacheCoherent: true,
      enforcesCoherency: false,
      // Nobody asks: iommufd binds mock devices without (iommufd_device_bind, iommufd_selftest_is_mock_dev).
      isolatedMsi: true,
      pasidBits: (flags & DEVICE_FLAG.PASID) === 0 ? 0 : PASID_BITS,
      dirtyTracking: this.#canTrack,
    }
    this.viommu = parts.viommu
    this.paging = { alloc: (options) => parts.alloc(options, this.#canTrack) }
    this.nesting = { alloc: (parent, data: UserData) => new MockNestedDomain(parent, data) }
    this.pageRequests = { listen: (listener) => void (this.#listener = listener) }
  }

  hwInfo(type: number): HwInfo {
    if (type !== ANY_TYPE && type !== HW_INFO_TYPE_SELFTEST) {
      throw new UapiError('EOPNOTSUPP', 'mock_domain_hw_info', { type })
    }
    return { type: HW_INFO_TYPE_SELFTEST, bytes: TEST_HW_INFO.make({ test_reg: HW_INFO_SELFTEST_REGVAL }) }
  }
  attach(domain: Domain, { pasid = RID, replacing }: AttachHow): AttachResult {
    if (pasid !== RID) this.#attachPasid(domain, pasid, replacing)
    else if (!this.#attachDevice(domain)) return 'incompatible'
    count(this.#attached.get(pasid), -1)
    if (domain.type === 'blocked') this.#attached.delete(pasid)
    else this.#attached.set(pasid, domain)
    count(domain, 1)
    return 'ok'
  }
  release(): void {
    for (const domain of this.#attached.values()) count(domain, -1)
    this.#attached.clear()
  }
  /** What it is attached to for a PASID, 0 for requests without one; undefined: to nothing. */
  attachedFor(pasid: Pasid): Domain | undefined {
    return this.#attached.get(pasid)
  }
  /** Sends a page request, if anything it is attached to answers such; nobody waits for the answer. */
  fault({ pasid, group, permissions, iova }: MockFault): void {
    if (this.#faultUsers === 0) return
    this.#listener?.({
      requester: 0,
      pasid: pasid === 0 ? NO_PASID : pasid,
      iova,
      read: (permissions & 1) !== 0,
      write: (permissions & 2) !== 0,
      exec: (permissions & 4) !== 0,
      priv: (permissions & 8) !== 0,
      perm: permissions,
      last: true,
      group,
      respond: () => undefined,
    })
  }
  /** Sends an event to its vIOMMU. @throws UapiError ENOENT when it has no id in one; as `ViommuFrame.report` */
  reportEvent(): void {
    const now = this.#viommu
    if (!now || now.virtId === 0n) throw new UapiError('ENOENT', 'IOMMU_TEST_OP_TRIGGER_VEVENT', { device: this.name })
    now.viommu.report(now.virtId)
  }

  /** @returns false when the domain does not fit @throws UapiError ENOENT when its id in the domain's vIOMMU is missing */
  #attachDevice(domain: Domain): boolean {
    if ('dirty' in domain && domain.dirty !== undefined && !this.#canTrack) return false
    this.#viommu = this.#placeIn(domain)
    this.#countFaults(domain, this.#attached.get(RID))
    return true
  }
  #placeIn(domain: Domain): { readonly viommu: AttachedViommu; readonly virtId: bigint } | undefined {
    const viommu = domain instanceof MockNestedDomain ? domain.viommu : undefined
    if (!viommu) return undefined
    const virtId = viommu.frame.virtIdOf(this)
    if (virtId === undefined) throw new UapiError('ENOENT', 'mock_domain_nop_attach', { device: this.name })
    // Moved within its vIOMMU it keeps the id that it had.
    return this.#viommu?.viommu === viommu ? this.#viommu : { viommu, virtId }
  }
  /** A domain that records writes is taken here whatever the device can. @throws UapiError ENOMEM, for `PASID_RESERVED` alone */
  #attachPasid(domain: Domain, pasid: Pasid, replacing: Domain | undefined): void {
    if (pasid === PASID_RESERVED) {
      const fails = this.#failsNext
      this.#failsNext = !fails && domain.type !== 'blocked'
      if (fails && domain.type !== 'blocked') throw new UapiError('ENOMEM', 'mock_domain_set_dev_pasid_nop', { pasid })
    }
    this.#countFaults(domain, replacing)
  }
  #countFaults(next: Domain, old: Domain | undefined): void {
    this.#faultUsers += Number(next.answersPageRequests ?? false) - Number(old?.answersPageRequests ?? false)
  }
}

/** Domains know how often they are attached: one that is freed meanwhile is a mistake. */
function count(domain: Domain | undefined, by: number): void {
  if (domain?.type === 'paging') (domain as MockDomain).attached += by
}
