/** The AMD-Vi driver: its units, the functions behind them, the domains they use. drivers/iommu/amd/init.c amd_iommu_init. */
import {
  type AuditSource,
  type Bdf,
  type Claim,
  CompositionError,
  type Domain,
  hex,
  type IommuDevice,
  type IommuDriver,
  type IovaRange,
  type PagingOptions,
  type PciFunction,
  UapiError,
} from '@ioasis/core'
import type { IvhdBlock } from '../spec/ivrs-table.ts'
import { CommandBuffer } from './command-buffer.ts'
import { AmdDevice } from './device.ts'
import { DeviceTable } from './device-table.ts'
import { AmdDomain } from './domain.ts'
import type { TableMode } from './domain-users.ts'
import { DomainIds } from './domain-ids.ts'
import type { AmdDriverOptions } from './driver-options.ts'
import { eventLine, eventOf } from './event-text.ts'
import { commonFeatures, type Features, featuresOf, firmwareFeatures, toldFeatures } from './features.ts'
import { blocksOf, SegmentMap } from './ivrs-map.ts'
import { type DriverHost, IvhdUnit, type LogReaders } from './ivhd-unit.ts'
import type { LogEntry } from './log-ring.ts'
import { handlePageRequest } from './page-request-handler.ts'
import { RequesterEntries } from './requester-entries.ts'
import { reservedRegions } from './reserved.ts'

/** One segment, as the driver keeps it. */
interface Segment {
  readonly map: SegmentMap
  readonly devices: DeviceTable
  readonly entries: RequesterEntries
}

/** Sizes that hardware has: AMD_IOMMU_PGSIZES. */
const ALL_SIZES = ((1n << 52n) - 4096n) ^ (1n << 39n)

/** Serves all AMD-Vi units of a host. */
export class AmdDriver implements IommuDriver, AuditSource {
  readonly name = 'amd-iommu'
  readonly nestedDomains = true
  /** Refuses everything. */
  readonly blocked: Domain = Object.freeze({ type: 'blocked' })
  /** Passes requests through untranslated. */
  readonly identity: Domain = Object.freeze({ type: 'identity' })
  readonly identityId: number
  readonly units: readonly IvhdUnit[]
  readonly features: Features
  readonly ids: DomainIds = new DomainIds()
  readonly iotlb: boolean
  readonly npCache: boolean
  readonly #host: DriverHost
  readonly #options: AmdDriverOptions
  readonly #segments = new Map<number, Segment>()
  readonly #devices = new Map<PciFunction, AmdDevice>()
  readonly #domains = new Set<AmdDomain>()

  /**
   * Brings all units up: from now on nothing passes untranslated.
   * @throws CompositionError when a unit's function is not there
   * @throws UapiError ENOMEM, with all memory given back
   */
  constructor(host: DriverHost, options: AmdDriverOptions) {
    this.#host = host
    this.#options = options
    this.identityId = this.ids.take()
    const units: IvhdUnit[] = []
    this.units = units
    try {
      const blocks = blocksOf(options.table.units)
      for (const [i, block] of blocks.entries()) units.push(this.#makeUnit(`ivhd${i}`, block))
      const registers = commonFeatures(units.map((unit) => unit.features))
      this.features = featuresOf(registers, firmwareFeatures(options.table.info, blocks), options.la57 === true)
      this.iotlb = units.every((unit) => unit.iotlb)
      this.npCache = units.some((unit) => unit.npCache)
      for (const segment of new Set(blocks.map((block) => block.segment))) this.#makeSegment(segment, blocks)
      for (const unit of units) unit.start(this.#segment(unit.segment).devices, this.features)
    } catch (error) {
      this.#takeDown()
      throw error
    }
  }

  probe(fn: PciFunction): IommuDevice | undefined {
    const segment = this.#segments.get(fn.segment)
    const block = segment?.map.unitOf(fn.bdf)
    const unit = this.units.find((one) => one.block === block)
    if (!segment || !unit) return undefined
    const { identityDefault = false, interruptRemapping = true, tables = 'v1', table } = this.#options
    const device = new AmdDevice(fn, {
      driver: this,
      host: this.#host,
      unit,
      entries: segment.entries,
      alias: segment.map.aliasOf(fn.bdf),
      initial: segment.map.initialDte(fn.bdf),
      reserved: reservedRegions(fn.bdf, fn.segment, table.memory, this.features.htRangeIgnored),
      interruptRemapping,
      identityDefault,
      tables,
      connectNesting: this.#options.connectNesting ?? false,
    })
    this.#devices.set(fn, device)
    return device
  }

  /** A new empty domain. @throws UapiError ENOMEM */
  allocDomain(mode: TableMode, options: PagingOptions): AmdDomain {
    const { cpu, pages, trace } = this.#host
    const { hostIovaBits, guestLevels } = this.features
    const id = this.#takeId()
    try {
      const domain = new AmdDomain({
        id,
        mode,
        memory: { cpu, pages, flushWrites: false },
        trace,
        iovaBits: hostIovaBits,
        guestLevels,
        // amd_iommu_pgsize_bitmap narrows host tables alone.
        pageSizes: mode === 'v1' ? (this.#options.pageSizes ?? ALL_SIZES) : ALL_SIZES,
        npCache: this.npCache,
        strict: this.npCache || this.#options.strict === true,
        dirtyTracking: options.dirtyTracking === true,
        nestParent: options.nestParent === true,
        freed: (freed) => {
          this.#domains.delete(freed)
          this.ids.free(freed.id)
        },
      })
      this.#domains.add(domain)
      return domain
    } catch (error) {
      this.ids.free(id)
      throw error
    }
  }
  /** A function is released: nothing asks for its device any more. */
  forget(fn: PciFunction): void {
    this.#devices.delete(fn)
  }
  /** Whether functions have interrupt tables. */
  get remapsInterrupts(): boolean {
    return this.#options.interruptRemapping ?? true
  }
  /** What firmware says of a segment; undefined: nothing. */
  mapOf(segment: number): SegmentMap | undefined {
    return this.#segments.get(segment)?.map
  }
  /** The device table of a segment, for those who show it. */
  tableOf(segment: number): DeviceTable {
    return this.#segment(segment).devices
  }

  /** Releases what devices and domains are left and takes the units down: all memory is given back. */
  close(): void {
    for (const device of [...this.#devices.values()].toReversed()) device.release()
    for (const domain of this.#domains) {
      domain.nested.clear()
      domain.free()
    }
    this.#takeDown()
  }

  claims(near?: IovaRange): readonly Claim[] {
    const gcr3 = [...this.#devices.values()].filter((device) => device.keepsGuestDomain).length
    let nested = 0
    for (const domain of this.#domains) for (const { count } of domain.nested) nested += count
    return [
      ...[...this.#devices.values()].flatMap((device) => device.claims(near)),
      ...[...this.#domains].flatMap((domain) => domain.claims(near)),
      {
        kind: 'count',
        what: 'AMD-Vi domain ids in use',
        actual: this.ids.used,
        expected: 1 + this.#domains.size + gcr3 + nested,
      },
    ]
  }

  /** No id is left: protection_domain_alloc() says that as it says no memory. */
  #takeId(): number {
    try {
      return this.ids.take()
    } catch {
      throw new UapiError('ENOMEM', 'protection_domain_alloc')
    }
  }
  #makeUnit(name: string, block: IvhdBlock): IvhdUnit {
    const { makeQueue = (parts) => new CommandBuffer(parts), functionAt, table } = this.#options
    const fn = functionAt(block.segment, block.bdf)
    if (!fn)
      throw new CompositionError(`iommu-amd: ${name}: no function stands at ${hex(block.bdf)}, where IVRS says it is`)
    const readers: LogReaders = {
      event: (unit, entry) => this.#event(unit, entry),
      pageRequest: (unit, entry) => handlePageRequest(entry, (id) => this.#deviceAt(unit.segment, id)),
    }
    return new IvhdUnit({ name, block, fn, told: toldFeatures(block, table.info) }, this.#host, { makeQueue, readers })
  }
  #makeSegment(number: number, blocks: readonly IvhdBlock[]): void {
    const map = new SegmentMap(number, blocks)
    const interrupts = this.remapsInterrupts
    const devices = new DeviceTable(map.lastBdf, this.#host, { interrupts, initial: (id) => map.initialDte(id) })
    this.#segments.set(number, { map, devices, entries: new RequesterEntries(devices) })
  }
  #segment(number: number): Segment {
    return this.#segments.get(number) as Segment
  }
  #deviceAt(segment: number, requester: Bdf): AmdDevice | undefined {
    const fn = this.#options.functionAt(segment, requester)
    return fn && this.#devices.get(fn)
  }

  #event(unit: IvhdUnit, entry: LogEntry): void {
    const { trace } = this.#host
    if (!trace.wants('fault')) return
    const event = eventOf(entry)
    const device = this.#deviceAt(unit.segment, event.requester)
    const { code, flags, requester, address, write } = event
    const text = eventLine(event, {
      segment: unit.segment,
      unit: unit.block.bdf,
      known: device !== undefined,
      unattached: device?.attached === this.blocked,
    })
    // Code and flags in one number, as the unit's reasons have them.
    const reason = code | (flags << 4)
    trace.emit('fault', { unit: unit.name, requester, iova: address, reason, write, text })
  }
  #takeDown(): void {
    for (const unit of this.units.toReversed()) unit.close()
    for (const { devices } of this.#segments.values()) devices.free()
    this.#segments.clear()
  }
}
