/**
 * One AMD-Vi unit: requests in, host addresses or fault reasons out.
 *
 * The order of checks is the specification's: IommuEn, interrupt range, device table entry, exclusion range, permissions of the
 * entry, width, tables; AMD I/O Virtualization Technology (IOMMU) Specification, 48882, "Data Structures". Not modelled: SEV-SNP,
 * guest virtual APIC, performance counters, device table segments, the HyperTransport range above 0xFD00000000, virtual IOMMUs.
 */
import {
  type AtsPort,
  type Bdf,
  bitsOf,
  bytesTogether,
  type Claim,
  type Clock,
  type DmaRequest,
  type Explanation,
  type HostMemory,
  type InterruptMessage,
  type IommuUnit,
  type MmioWindow,
  type MsiMessage,
  type PriPort,
  type Status,
  type Trace,
} from '@ioasis/core'
import { CTRL } from '../spec/registers.ts'
import { type Capabilities, capabilitiesOf, type FeatureRegisters } from './capabilities.ts'
import { CommandBuffer } from './command-buffer.ts'
import { DevicePorts, type StrayResponse } from './device-ports.ts'
import type { DteCache } from './dte-cache.ts'
import { DteReader } from './dte-reader.ts'
import { EventLog } from './event-log.ts'
import { ExclusionRange } from './exclusion-range.ts'
import { explainTranslation, type UnitState } from './explain.ts'
import { qemuReasonText, reasonText } from './fault.ts'
import { GuestRequests } from './guest-requests.ts'
import { cachedClaims } from './inspect.ts'
import { InterruptRemap } from './interrupt-remap.ts'
import { type Raise, UnitInterrupts } from './message.ts'
import { Misses } from './misses.ts'
import { PageRequests } from './page-requests.ts'
import { QemuTranslation } from './qemu-translation.ts'
import { Refusals } from './refusals.ts'
import { type AmdRegisters, amdRegisters } from './registers.ts'
import { TranslationCaches } from './translation-caches.ts'
import { TranslationRequests } from './translation-requests.ts'
import { Walkers } from './walkers.ts'

/** What one unit is. */
export interface AmdUnitOptions extends FeatureRegisters {
  readonly name: string
  readonly covers: (segment: number, requester: Bdf) => boolean
  /**
   * Commands stay unprocessed, and completion words unwritten, until software loads any register or `poll` runs. A driver that
   * waits for completion and reads a register meanwhile notices nothing; one that goes on without waiting leaves stale
   * entries that DMA can use.
   */
  readonly lag?: boolean
  /** Where the specification leaves a choice, or QEMU departs from it: default `specification`. */
  readonly personality?: 'specification' | 'qemu'
  /** QEMU's properties dma-remap and intremap; both default to true, and only its personality can do without. */
  readonly dmaRemapping?: boolean
  readonly interruptRemapping?: boolean
}
/** What surrounds a unit, where it matters. */
export interface AmdUnitSurroundings {
  readonly trace?: Trace
  /** Without it a device that does not answer an invalidation never times out. */
  readonly clock?: Clock
  /** Hears of answers to page requests that the unit did not take. */
  readonly strayResponse?: StrayResponse
}

/** The silicon of one unit. */
export class AmdUnit implements IommuUnit {
  readonly name: string
  readonly mmio: MmioWindow
  readonly registers: AmdRegisters
  readonly caps: Capabilities
  readonly caches: TranslationCaches
  /** The unit's own interrupts; its PCI function writes the MSI capability there. */
  readonly interrupts: UnitInterrupts
  readonly ats: AtsPort
  readonly pri: PriPort
  readonly msi: { remap(message: MsiMessage, requester: Bdf): InterruptMessage | undefined }
  readonly #covers: AmdUnitOptions['covers']
  readonly #qemu: boolean
  readonly #reader: DteReader
  readonly #walkers: Walkers
  readonly #refusals: Refusals
  readonly #qemuTranslation: QemuTranslation
  readonly #exclusion: ExclusionRange
  readonly #events: EventLog
  readonly #guests: GuestRequests
  readonly #misses: Misses
  readonly #requests: PageRequests
  readonly #ports: DevicePorts
  readonly #commands: CommandBuffer
  /** Parts of `caches`, at hand for the hit path. */
  readonly #devices: DteCache
  readonly #pageWords: Int32Array
  /** CTRL.IommuEn. */
  #on = false

  /**
   * @param memory what the unit reads tables from
   * @param raise sends the unit's own interrupts
   * @throws RangeError when the features contradict each other
   */
  constructor(options: AmdUnitOptions, memory: HostMemory, raise: Raise, surroundings: AmdUnitSurroundings = {}) {
    const { name, covers, lag = false, personality = 'specification' } = options
    const qemu = personality === 'qemu'
    this.name = name
    this.#covers = covers
    this.#qemu = qemu
    const caps = (this.caps = capabilitiesOf(options))
    const registers = (this.registers = amdRegisters(caps, qemu))
    const caches = (this.caches = new TranslationCaches(qemu, (requester) => this.#qemuTranslation.reload(requester)))
    const { devices, directories } = caches
    this.#devices = devices
    this.#pageWords = caches.iotlb.pages.words
    const reader = (this.#reader = new DteReader(memory, registers, caps, qemu))
    const walkers = (this.#walkers = new Walkers(memory, registers, { caps, directories, qemu }))
    const ports = (this.#ports = new DevicePorts(surroundings.strayResponse))
    const interrupts = (this.interrupts = new UnitInterrupts(registers, raise, caps.msiRegisters))
    const hardwareEvents = caps.hardwareEvents && !qemu
    const events = (this.#events = new EventLog(memory, registers, interrupts, { qemu, hardwareEvents }))
    const refusals = (this.#refusals = new Refusals(events, reader, devices, qemu))
    const exclusion = (this.#exclusion = new ExclusionRange(registers, () => caches.dropPagesAll()))
    const dmaRemapping = options.dmaRemapping !== false
    const qemuTranslation = (this.#qemuTranslation = new QemuTranslation({
      caches,
      reader,
      walkers,
      refusals,
      dmaRemapping,
    }))
    const { trace } = surroundings
    const guests = (this.#guests = new GuestRequests({ qemu, caches, walkers, refusals, trace, name }))
    const asQemu = qemu ? qemuTranslation : undefined
    this.#misses = new Misses({ caps, caches, walkers, refusals, exclusion, guests, qemu: asQemu, trace, name })
    this.#requests = new PageRequests({ memory, registers, caches, events, interrupts, ports, refusals })
    this.#commands = new CommandBuffer(
      { memory, registers, caps, caches, events, interrupts, ports, clock: surroundings.clock },
      { lag, qemu },
    )
    const offered = !qemu || options.interruptRemapping !== false
    const remap = new InterruptRemap({ memory, registers, caches, reader, events }, { qemu, offered })
    const translations = new TranslationRequests({ caps, qemu, devices, walkers, refusals, isOn: () => this.#on })
    this.msi = { remap: (message, requester) => remap.remap(message, requester) }
    this.ats = {
      translate: (request, grant) => translations.translate(request, grant),
      connect: (requester, cache) => ports.connect(requester, cache),
    }
    this.pri = { request: (request) => this.#requests.request(request) }
    registers.onWrite('CTRL', () => this.#control())
    this.mmio = lag ? this.#pollingWindow() : registers
  }

  covers(segment: number, requester: Bdf): boolean {
    return this.#covers(segment, requester)
  }

  /**
   * The hit path: the requester asked for last, one IOTLB set. It asks neither whether the unit is on nor for the interrupt
   * range: nothing is recalled while it is off, and neither that range nor the excluded one is ever cached. Constants are
   * literals in here, and so is the search of `IotlbTable.find`: V8 loads and checks what a module imports on each use.
   */
  translate(request: DmaRequest): Status {
    const { requester, iovaHi: hi, iovaLo: lo } = request
    if (request.pasid !== -1 /* NO_PASID */ || request.translated) return this.#guests.special(request)
    const devices = this.#devices
    if (requester !== devices.recent && !devices.recall(requester)) return this.#misses.request(request)
    const words = this.#pageWords
    const owner = devices.recentOwner
    const tag = lo & ~0xfff
    let at = (((lo >>> 12) ^ hi ^ (Math.imul(owner, 0x9e37_79b1) >>> 16)) & 511) << 3
    for (; at < 0x4000; at += 0x1000) {
      if (words[at] !== tag || words[at + 1] !== hi || words[at + 2] !== owner) continue
      const leaf = words[at + 3] as number
      if ((leaf & request.access) !== request.access) break
      const { out, length } = request
      const offset = lo & 0xfff
      const left = 0x1000 - offset
      out.target = 1 // TARGET.MEMORY
      out.hpaLo = (leaf & ~0xfff) | offset
      out.hpaHi = words[at + 4] as number
      out.bytes = length <= left ? length : bytesTogether(words, at, left, length)
      out.snooped = !request.noSnoop || (leaf & 4) !== 0 // LEAF.SNOOP
      return 0 // DMA.OK
    }
    return this.#misses.request(request)
  }

  explain(request: DmaRequest): Explanation {
    return explainTranslation(this.#state(), request)
  }
  reasonText(status: Status): string {
    return this.#qemu ? qemuReasonText(status) : reasonText(status)
  }
  inspect(): readonly Claim[] {
    return [...cachedClaims(this.name, [this.caches.iotlb, this.caches.guest]), ...this.#ports.claims(this.name)]
  }
  /** Completes the commands that a unit with lag holds back; nothing to do on others. */
  poll(): void {
    this.#commands.run()
  }

  /** CTRL was written. */
  #control(): void {
    const { registers } = this
    const lo = registers.lo('CTRL')
    const on = (lo & bitsOf(CTRL.IommuEn)) !== 0
    if (on !== this.#on) this.#devices.switch(on)
    this.#on = this.#misses.on = this.#guests.on = on
    this.#events.ring.enable(on && (lo & bitsOf(CTRL.EventLogEn)) !== 0)
    this.#requests.ring.enable(on && !this.#qemu && (lo & bitsOf(CTRL.PPRLogEn)) !== 0)
    this.#commands.enable(on && (lo & bitsOf(CTRL.CmdBufEn)) !== 0)
  }
  #pollingWindow(): MmioWindow {
    return {
      load: (offset, size) => {
        this.poll()
        return this.registers.load(offset, size)
      },
      store: (offset, size, value) => this.registers.store(offset, size, value),
    }
  }
  #state(): UnitState {
    return {
      name: this.name,
      caps: this.caps,
      caches: this.caches,
      reader: this.#reader,
      host: this.#walkers.host,
      guest: this.#walkers.guest,
      on: this.#on,
      qemu: this.#qemu,
      rootTranslated: this.#walkers.rootTranslated,
      excluded: (more, hi, lo) => this.#exclusion.passes(more, hi, lo),
      setHostTable: (bus, at) => this.#walkers.prepare(bus, at),
      withRequest: (request, status) => this.#refusals.withRequest(request, status),
      reasonText: (status) => this.reasonText(status),
    }
  }
}
