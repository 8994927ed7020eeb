/**
 * The mock IOMMU of one host: its devices come and go while the host runs (drivers/iommu/iommufd/selftest.c mock_dev_create); and
 * functions on PCI, where the host has units of its own silicon.
 */
import {
  type AuditSource,
  type Bdf,
  type Claim,
  type Domain,
  type Group,
  type GroupRegistry,
  type Hpa,
  type IommuDevice,
  type IommuDriver,
  type IovaRange,
  type PagingOptions,
  type PciFunction,
  UapiError,
  type ViommuSupport,
  type ViommuDevice,
} from '@ioasis/core'
import type { TableMemory } from '@ioasis/page-table'
import { DEVICE_FLAG } from '../spec/test-command.ts'
import { MockDevice } from './device.ts'
import { allocDomain, MockDomain } from './domain.ts'
import { DeviceTable, MockFunction } from './function.ts'
import { viommuSupport } from './viommu.ts'

const BLOCKED: Domain = Object.freeze({ type: 'blocked' })
const IDENTITY: Domain = Object.freeze({ type: 'identity' })
const KNOWN_FLAGS = DEVICE_FLAG.NO_DIRTY | DEVICE_FLAG.PASID

/** A device with its group. */
export interface AddedDevice {
  readonly device: MockDevice
  readonly group: Group
}

/** Silicon for functions on PCI. */
export interface MockUnits {
  /** Where their common device table lies. */
  readonly table: Hpa
  /** The unit a requester's requests come to; undefined: none. */
  unitOf(segment: number, requester: Bdf): string | undefined
}

/** Makes devices and domains. */
export class MockIommu implements IommuDriver, AuditSource {
  readonly name = 'iommufd_mock'
  readonly nestedDomains = true
  readonly userPasidTable = true
  readonly #memory: TableMemory
  readonly #pageBytes: number
  readonly #groups: GroupRegistry
  readonly #viommu: ViommuSupport
  readonly #devices: (AddedDevice | undefined)[] = []
  readonly #domains = new Set<MockDomain>()
  readonly #units: MockUnits | undefined
  readonly #table: DeviceTable | undefined

  /** @param units absent: no function on PCI is served */
  constructor(memory: TableMemory, pageBytes: number, groups: GroupRegistry, units?: MockUnits) {
    this.#memory = memory
    this.#units = units
    this.#table = units && new DeviceTable(memory.cpu, units.table)
    this.#pageBytes = pageBytes
    this.#groups = groups
    const { cpu, pages } = memory
    const cacheOf = (device: ViommuDevice): Uint32Array => this.own(device).cache
    this.#viommu = viommuSupport({ cpu, pages, pageBytes, cacheOf })
  }

  probe(fn: PciFunction): IommuDevice | undefined {
    const table = this.#table
    if (!table || this.#units?.unitOf(fn.segment, fn.requester) === undefined) return undefined
    const alloc = (options: PagingOptions): MockDomain => this.#alloc(options, true)
    return new MockFunction(fn, { driver: this, table, blocked: BLOCKED, identity: IDENTITY, alloc })
  }
  /**
   * Makes a device, in a group of its own.
   * @param flags `DEVICE_FLAG`s
   * @throws UapiError EINVAL for unknown flags
   */
  add(flags: number): AddedDevice {
    if ((flags & ~KNOWN_FLAGS) !== 0) throw new UapiError('EINVAL', 'mock_dev_create', { flags })
    const free = this.#devices.indexOf(undefined)
    const number = free < 0 ? this.#devices.length : free
    const device = new MockDevice(number, flags, {
      driver: this,
      blocked: BLOCKED,
      viommu: this.#viommu,
      alloc: (options, canTrack) => this.#alloc(options, canTrack),
    })
    const added = { device, group: this.#groups.addDevice(device) }
    this.#devices[number] = added
    return added
  }
  /** Takes a device away that nobody has bound. */
  remove({ device }: AddedDevice): void {
    this.#groups.removeDevice(device)
    this.#devices[this.#devices.findIndex((added) => added?.device === device)] = undefined
  }
  /** @throws UapiError EINVAL for a device of another driver */
  own(device: ViommuDevice): MockDevice {
    if (device instanceof MockDevice && device.driver === this) return device
    throw new UapiError('EINVAL', 'iommufd_selftest_is_mock_dev')
  }
  claims(near?: IovaRange): readonly Claim[] {
    const claims: Claim[] = []
    const attached = this.#table?.all ?? []
    const placed = new Set<MockDomain>()
    for (const { fn, domain } of attached) {
      const unit = this.#units?.unitOf(fn.segment, fn.requester) ?? ''
      const type = domain.type === 'paging' || domain.type === 'identity' ? domain.type : 'blocked'
      const tag = domain instanceof MockDomain ? domain.root : 0
      claims.push({ kind: 'attached', unit, segment: fn.segment, requester: fn.requester, domain, type, tag })
      if (domain instanceof MockDomain && !placed.has(domain)) domain.claims(near, unit, tag, claims)
      if (domain instanceof MockDomain) placed.add(domain)
    }
    for (const domain of this.#domains) if (!placed.has(domain)) domain.claims(near, '', -1, claims)
    return claims
  }

  #alloc(options: PagingOptions, canTrack: boolean): MockDomain {
    const domain = allocDomain(
      {
        memory: this.#memory,
        pageBytes: this.#pageBytes,
        canTrack,
        freed: (gone) => void this.#domains.delete(gone),
        tracked: (changed) => this.#table?.refresh(changed),
      },
      options,
    )
    this.#domains.add(domain)
    return domain
  }
}
