/** The VT-d driver: its units, the devices behind them, the domains they use. drivers/iommu/intel/iommu.c intel_iommu_init. */
import type { AuditSource, Claim, Domain, IommuDevice, IommuDriver, IovaRange, PciFunction } from '@ioasis/core'
import { VtdDevice } from './device.ts'
import { DmarUnit, type DriverHost, type MakeInvalidator, type UnitPlace } from './dmar-unit.ts'
import { SecondStageDomain } from './domain.ts'
import { InterruptTable, remapsInterrupts } from './interrupt-table.ts'
import { InvalidationQueue } from './invalidation-queue.ts'
import { RegisterInvalidation } from './register-invalidation.ts'
import { RequesterEntries } from './requester-entries.ts'
import { type ReservedMemoryOptions, reservedRegions } from './reserved.ts'
import { coveredBy } from './scope.ts'

/** What the driver is told at boot. */
export interface VtdDriverOptions {
  /** Where firmware says the units are. */
  readonly units: readonly UnitPlace[]
  /** Memory that functions keep using. */
  readonly reserved?: readonly ReservedMemoryOptions[]
  /** iommu=pt: devices pass through by default where the unit can. */
  readonly identityDefault?: boolean
  /** Firmware opts out of interrupt remapping when false. Default true. */
  readonly interruptRemapping?: boolean
  /** The kernel was built with CONFIG_INTEL_IOMMU_FLOPPY_WA. */
  readonly floppy?: boolean
  /** How invalidations get to a unit. Default: its queue, else its registers. */
  readonly makeQueue?: MakeInvalidator
}

const makeInvalidator: MakeInvalidator = (parts) =>
  parts.capabilities.queued ? new InvalidationQueue(parts) : new RegisterInvalidation(parts)

/** Told of functions that the driver takes and gives up. */
export interface DeviceListener {
  added(device: VtdDevice): void
  removed(device: VtdDevice): void
}

/** Serves all VT-d units of a host. Legacy mode: no PASIDs, no first stage, no nesting, no device TLBs. */
export class VtdDriver implements IommuDriver, AuditSource {
  readonly name = 'intel-iommu'
  readonly nestedDomains = true
  /** Refuses everything: fault reason 2. */
  readonly blocked: Domain = Object.freeze({ type: 'blocked' })
  /** Passes requests through untranslated, where a unit can. */
  readonly identity: Domain = Object.freeze({ type: 'identity' })
  readonly units: readonly DmarUnit[]
  readonly #host: DriverHost
  readonly #options: VtdDriverOptions
  readonly #entries = new Map<DmarUnit, RequesterEntries>()
  readonly #devices = new Set<VtdDevice>()
  readonly #domains = new Set<SecondStageDomain>()
  #listener: DeviceListener | undefined
  /** Interrupt remapping tables, by unit. */
  readonly interruptTables: ReadonlyMap<DmarUnit, InterruptTable>

  /**
   * Brings all units up; they translate from `enable` on.
   * @throws UapiError ENOMEM; units brought up before are taken down again
   */
  constructor(host: DriverHost, options: VtdDriverOptions) {
    this.#host = host
    this.#options = options
    const units: DmarUnit[] = []
    const tables = new Map<DmarUnit, InterruptTable>()
    this.units = units
    this.interruptTables = tables
    try {
      for (const place of options.units) units.push(new DmarUnit(place, host, options.makeQueue ?? makeInvalidator))
      if (options.interruptRemapping !== false) {
        for (const unit of units) if (remapsInterrupts(unit)) tables.set(unit, new InterruptTable(unit))
      }
    } catch (error) {
      this.#takeDown()
      throw error
    }
    for (const unit of units) this.#entries.set(unit, new RequesterEntries(unit))
  }

  /** Switches translation on. From then on a function without a domain reaches nothing. */
  enable(): void {
    for (const unit of this.units) unit.enable()
  }

  probe(fn: PciFunction): IommuDevice | undefined {
    const unit = coveredBy(this.units, fn)
    if (!unit) return undefined
    const { reserved = [], floppy = false, identityDefault = false, interruptRemapping = true } = this.#options
    const device = new VtdDevice(fn, {
      driver: this,
      unit,
      entries: this.#entries.get(unit) as RequesterEntries,
      reserved: reservedRegions(fn, reserved, { floppy }),
      // As the kernel reports it. Whether messages are isolated is the unit's affair once its tables for them are set.
      isolatedMsi: interruptRemapping && unit.capabilities.interruptRemapping,
      identityDefault,
    })
    this.#devices.add(device)
    this.#listener?.added(device)
    return device
  }

  /** A new empty domain that fits a unit. @throws UapiError ENOMEM, EOPNOTSUPP */
  allocDomain(unit: DmarUnit): SecondStageDomain {
    const domain = new SecondStageDomain(unit, this.#host.trace, (freed) => this.#domains.delete(freed))
    this.#domains.add(domain)
    return domain
  }
  /** A released device: nothing asks for it any more. */
  forget(device: VtdDevice): void {
    this.#devices.delete(device)
    this.#listener?.removed(device)
  }
  /** Tells of devices from now on. */
  onDevices(listener: DeviceListener): void {
    this.#listener = listener
  }

  /** Releases what devices and domains are left and takes the units down, last first: all memory is given back. */
  close(): void {
    for (const device of [...this.#devices].toReversed()) device.release()
    for (const domain of this.#domains) domain.free()
    this.#takeDown()
  }
  #takeDown(): void {
    for (const unit of this.units.toReversed()) {
      this.interruptTables.get(unit)?.close()
      unit.close()
    }
  }

  claims(near?: IovaRange): readonly Claim[] {
    return [
      ...[...this.#devices].flatMap((device) => device.claims()),
      ...[...this.#domains].flatMap((domain) => domain.claims(near)),
      ...this.units.flatMap((unit) => this.#counts(unit)),
    ]
  }

  #counts(unit: DmarUnit): readonly Claim[] {
    const count = (what: string, actual: number, expected: number): Claim => ({
      kind: 'count',
      what: `${unit.name} ${what}`,
      actual,
      expected,
    })
    const used = [...this.#domains].filter((domain) => domain.units.some((u) => u.unit === unit)).length
    return [
      count('domain ids in use', unit.ids.used, used),
      count('context tables', unit.contexts.present, unit.contexts.pages - 1),
      count('refused invalidations', unit.queue.refused, 0),
    ]
  }
}
