/** What a function's device is made of, and what it asks of its driver. */
import type { Bdf, Domain, IommuDriver, PagingOptions, PciFunction, ReservedRegion } from '@ioasis/core'
import type { Dte } from './device-table-entry.ts'
import type { AmdDomain } from './domain.ts'
import type { DomainIds } from './domain-ids.ts'
import type { TableMode } from './domain-users.ts'
import type { Features } from './features.ts'
import type { DriverHost, IvhdUnit } from './ivhd-unit.ts'
import type { RequesterEntries } from './requester-entries.ts'

/** What a device needs of its driver. */
export interface DeviceDriver extends IommuDriver {
  readonly blocked: Domain
  readonly identity: Domain
  /** Tag of what passes through. */
  readonly identityId: number
  readonly features: Features
  readonly ids: DomainIds
  /** All units answer translation requests. */
  readonly iotlb: boolean
  /** @throws UapiError ENOMEM */
  allocDomain(mode: TableMode, options: PagingOptions): AmdDomain
  /** The function is released. */
  forget(fn: PciFunction): void
}

/** What the driver gives each device. */
export interface DeviceParts {
  readonly driver: DeviceDriver
  readonly host: DriverHost
  readonly unit: IvhdUnit
  readonly entries: RequesterEntries
  /** Alias that firmware names; the function's own id where it names none. */
  readonly alias: Bdf
  /** What its entry begins with. */
  readonly initial: Dte | undefined
  readonly reserved: readonly ReservedRegion[]
  readonly interruptRemapping: boolean
  /** The kernel passes devices through (iommu=pt). */
  readonly identityDefault: boolean
  /** Tables that domains have which need nothing special. */
  readonly tables: TableMode
  /** First stages of guests can be made. */
  readonly connectNesting: boolean
}
