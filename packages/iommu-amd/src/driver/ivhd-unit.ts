/**
 * One unit as its driver sees it: brought up through its registers, told through its command buffer, taken down again.
 * drivers/iommu/amd/init.c early_enable_iommu, iommu_init_flags, amd_iommu_init_pci; ppr.c
 * amd_iommu_enable_ppr_log.
 *
 * Not modelled: translation left on by an earlier kernel (kdump), suspend, SNP, guest virtual APICs, performance counters, errata
 * of single processors.
 */
import {
  type Bdf,
  type Cpu,
  field,
  type Interrupts,
  type PageAllocator,
  type PciFunction,
  type Trace,
} from '@ioasis/core'
import { CAPABILITY_HEADER, EFR } from '../spec/features.ts'
import type { IvhdBlock } from '../spec/ivrs-table.ts'
import { CTRL, REG } from '../spec/registers.ts'
import { ALL, type Command, commandText } from './command.ts'
import type { CommandQueue, MakeQueue } from './command-buffer.ts'
import type { DeviceTable } from './device-table.ts'
import { type Features, type FeatureRegisters, has } from './features.ts'
import { EVENT_LOG, type LogEntry, LogRing, PAGE_REQUEST_LOG } from './log-ring.ts'
import { UnitInterrupt } from './unit-interrupt.ts'
import { UnitRegisters } from './unit-registers.ts'

/** What a driver has of its host. */
export interface DriverHost {
  /** The boot CPU: it reaches registers and tables. */
  readonly cpu: Cpu
  readonly pages: PageAllocator
  readonly interrupts: Interrupts
  readonly trace: Trace
}
/** Who reads the unit's logs. */
export interface LogReaders {
  event(unit: IvhdUnit, entry: LogEntry): void
  pageRequest(unit: IvhdUnit, entry: LogEntry): void
}

/** "Flags" of a unit in the IVRS table, by the control bit that each asks for. */
const FLAGS = [
  [1, 'HtTunEn'],
  [2, 'PassPW'],
  [4, 'ResPassPW'],
  [8, 'Isoc'],
] as const
/** CTRL.InvTimeOut of one second. */
const ONE_SECOND = 4
/** Enhanced page request handling: drivers/iommu/amd/amd_iommu_types.h CONTROL_EPH_EN. */
const EPH_ENABLE = field(45)

/** One unit. */
export class IvhdUnit {
  readonly name: string
  /** What firmware says of it. */
  readonly block: IvhdBlock
  /** Its own function. */
  readonly fn: PciFunction
  readonly registers: UnitRegisters
  /** First word of the function's capability block. */
  readonly header: number
  /** Its feature registers as firmware's table tells them; 0 where it does not. */
  readonly told: FeatureRegisters
  /** Those, or what the registers read. */
  readonly features: FeatureRegisters
  readonly queue: CommandQueue
  /** The table of its segment. Set before `start`. */
  devices: DeviceTable | undefined
  readonly #host: DriverHost
  readonly #events: LogRing
  #pageRequests: LogRing | undefined
  readonly #interrupt: UnitInterrupt

  /** Takes memory; the unit does nothing yet. @throws UapiError ENOMEM, with nothing taken */
  constructor(
    place: {
      readonly name: string
      readonly block: IvhdBlock
      readonly fn: PciFunction
      readonly told: FeatureRegisters
    },
    host: DriverHost,
    how: { readonly makeQueue: MakeQueue; readonly readers: LogReaders },
  ) {
    this.name = place.name
    this.block = place.block
    this.fn = place.fn
    this.told = place.told
    this.#host = host
    this.registers = new UnitRegisters(host.cpu, place.block.registers)
    this.#interrupt = new UnitInterrupt(host.interrupts, place.fn, this.registers)
    this.header = place.fn.readConfig(place.block.capabilityOffset, 4)
    this.features = this.#readFeatures()
    const { registers, name } = this
    this.queue = how.makeQueue({ unit: name, registers, cpu: host.cpu, pages: host.pages })
    const logs: LogRing[] = []
    try {
      logs.push(new LogRing(EVENT_LOG, this, host, (entry) => how.readers.event(this, entry)))
      if (has(this.features.efr, EFR.PPRSup)) {
        logs.push(new LogRing(PAGE_REQUEST_LOG, this, host, (entry) => how.readers.pageRequest(this, entry)))
      }
    } catch (error) {
      this.queue.close()
      for (const log of logs) log.free()
      throw error
    }
    this.#events = logs[0] as LogRing
    this.#pageRequests = logs[1]
  }

  get segment(): number {
    return this.block.segment
  }
  /** Requests may be translated by the devices' own caches. */
  get iotlb(): boolean {
    return has(BigInt(this.header >>> 0), CAPABILITY_HEADER.IotlbSup)
  }
  /** It remembers absent entries: hypervisors do. */
  get npCache(): boolean {
    return has(BigInt(this.header >>> 0), CAPABILITY_HEADER.NpCache)
  }

  /** From now on every request is translated as the device table says. */
  start(devices: DeviceTable, features: Features): void {
    this.devices = devices
    const { registers } = this
    this.#disable()
    for (const [flag, bit] of FLAGS) {
      if (this.block.flags & flag) registers.enable(bit)
      else registers.disable(bit)
    }
    registers.enable('Coherent')
    registers.control(CTRL.InvTimeOut, ONE_SECOND)
    if (features.enhancedPageRequests) registers.control(EPH_ENABLE, 1)
    registers.write64(REG.DEVTAB, BigInt(devices.hpa) | BigInt(devices.bytes / 4096 - 1))
    this.queue.start()
    if (features.guestTranslation) registers.enable('GTEn')
    if (features.gcr3Trp) registers.enable('GCR3TRPMode')
    if (features.wideInterrupts) registers.enable('GAEn')
    if (features.x2apic) registers.enable('XTEn')
    if (features.interrupts2k) registers.control(CTRL.NumIntRemapMode, 1)
    registers.enable('IommuEn')
    this.#forgetAll(features)
    this.#events.start()
    this.#interrupt.start(features.x2apic, () => {
      this.#events.handle()
      this.#pageRequests?.handle()
    })
    registers.enable('EventIntEn')
    if (features.pageRequests) this.#startPageRequests()
  }

  /** Queues requests; `wait` returns when they are done. */
  submit(commands: readonly Command[]): void {
    if (this.#host.trace.wants('flushed')) for (const command of commands) this.#tell(command)
    this.queue.submit(commands)
  }
  wait(): void {
    this.queue.wait()
  }
  /** Asks, and waits. */
  invalidate(commands: readonly Command[]): void {
    this.submit(commands)
    this.wait()
  }

  /** Translation off, logs and queue off, all memory given back. */
  close(): void {
    this.#disable()
    this.#interrupt.stop()
    this.queue.close()
    this.#events.free()
    this.#pageRequests?.free()
    this.#pageRequests = undefined
  }

  #readFeatures(): FeatureRegisters {
    if (this.told.efr) return this.told
    if (!has(BigInt(this.header >>> 0), CAPABILITY_HEADER.EFRSup)) return { efr: 0n, efr2: 0n }
    return { efr: this.registers.read64(REG.EFR), efr2: this.registers.read64(REG.EFR2) }
  }

  #disable(): void {
    const off = [
      'CmdBufEn',
      'EventIntEn',
      'EventLogEn',
      'GALogEn',
      'GAIntEn',
      'PPRLogEn',
      'PPRIntEn',
      'IommuEn',
      'IRTCacheDis',
    ] as const
    for (const feature of off) this.registers.disable(feature)
  }

  /** amd_iommu_flush_all_caches(). */
  #forgetAll({ invalidateAll }: Features): void {
    if (invalidateAll) return this.invalidate([{ kind: 'all' }])
    const last = this.devices?.lastBdf ?? 0
    const each = (make: (id: Bdf) => Command): void =>
      this.invalidate(Array.from({ length: last + 1 }, (_, id) => make(id)))
    each((requester) => ({ kind: 'device', requester }))
    each((requester) => ({ kind: 'interrupts', requester }))
    each((domain) => ({ kind: 'pages', domain, ...ALL, directories: true }))
  }

  #startPageRequests(): void {
    this.registers.enable('PPREn')
    this.#pageRequests?.start()
    this.registers.enable('PPRIntEn')
  }

  #tell(command: Command): void {
    const range = command.kind === 'pages' || command.kind === 'device pages'
    this.#host.trace.emit('flushed', {
      unit: this.name,
      what: commandText(command),
      ...(range && { iova: command.first, bytes: command.last - command.first + 1n }),
    })
  }
}
