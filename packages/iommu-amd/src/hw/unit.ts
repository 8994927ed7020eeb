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
  DMA,
  type DmaRequest,
  type Explanation,
  type HostMemory,
  type InterruptMessage,
  type IommuUnit,
  type MmioWindow,
  type MsiMessage,
  NO_PASID,
  type PriPort,
  type Status,
  type Trace,
} from '@ioasis/core'
import { DEVICE_REQUEST, EVENT_CODE, EVENT_FLAG } from '../spec/event.ts'
import { CTRL } from '../spec/registers.ts'
import { answer, answerPart, identity } from './answer.ts'
import { type Capabilities, capabilitiesOf, type FeatureRegisters } from './capabilities.ts'
import { CommandBuffer } from './command-buffer.ts'
import { DevicePorts, type StrayResponse } from './device-ports.ts'
import { DTE, DTE_MORE, DTE_WORDS_SHIFT, type DteCache } from './dte-cache.ts'
import { DteReader } from './dte-reader.ts'
import { EventLog } from './event-log.ts'
import { ExclusionRange } from './exclusion-range.ts'
import { explainTranslation, type UnitState } from './explain.ts'
import { codeOf, reason, reasonText } from './fault.ts'
import { LEAF } from './host-walk.ts'
import { cachedClaims } from './inspect.ts'
import { InterruptRemap } from './interrupt-remap.ts'
import { type Iotlb, type IotlbTable } from './iotlb.ts'
import { type Raise, UnitInterrupts } from './message.ts'
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

const { GN, PE, PR, I } = EVENT_FLAG
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)
const DENIED = reason(EVENT_CODE.IO_PAGE_FAULT, PR | PE)
const GUEST_ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT, GN)
const PRETRANSLATED = reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.PRETRANSLATED << 9)
const WINDOW_READ = reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.INTERRUPT_READ << 9)
const WINDOW_PASID = reason(EVENT_CODE.IO_PAGE_FAULT, GN | I)

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
  readonly #trace: Trace | undefined
  readonly #reader: DteReader
  readonly #walkers: Walkers
  readonly #refusals: Refusals
  readonly #qemuTranslation: QemuTranslation
  readonly #exclusion: ExclusionRange
  readonly #events: EventLog
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
    this.#trace = surroundings.trace
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
    this.#exclusion = new ExclusionRange(registers, () => caches.dropPagesAll())
    const dmaRemapping = options.dmaRemapping !== false
    this.#qemuTranslation = new QemuTranslation({ caches, reader, walkers, refusals, dmaRemapping })
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
    if (request.pasid !== -1 /* NO_PASID */ || request.translated) return this.#special(request)
    const devices = this.#devices
    if (requester !== devices.recent && !devices.recall(requester)) return this.#miss(request)
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
    return this.#miss(request)
  }

  explain(request: DmaRequest): Explanation {
    return explainTranslation(this.#state(), request)
  }
  reasonText(status: Status): string {
    return reasonText(status)
  }
  inspect(): readonly Claim[] {
    return [...cachedClaims(this.name, [this.caches.iotlb, this.caches.guest]), ...this.#ports.claims(this.name)]
  }
  /** Completes the commands that a unit with lag holds back; nothing to do on others. */
  poll(): void {
    this.#commands.run()
  }

  /** No usable leaf of 4 KiB. Literals as in `translate`. */
  #miss(request: DmaRequest): Status {
    if (!this.#on) return identity(request)
    const { requester, iovaHi: hi, iovaLo: lo, access } = request
    if (hi === 0 && lo >>> 20 === 0xfee) return this.#window(request)
    if (this.#qemu) return this.#qemuTranslation.translate(request)
    const at = (requester & 0xff) << 4 // DTE_WORDS_SHIFT
    const devices = this.#devices
    let bus = devices.buses[(requester >>> 8) & 0xff] as Int32Array
    const known = ((bus[at] as number) & 1) !== 0 // DTE.CACHED
    if (!known) {
      const status = this.#refusals.device(requester, (access & 2) !== 0, ABSENT, hi, lo)
      if (status !== 0) return status
      bus = devices.buses[(requester >>> 8) & 0xff] as Int32Array
    }
    const flags = bus[at] as number
    if (this.#exclusion.enabled && this.#exclusion.passes(bus[at + 5] as number, hi, lo))
      return identity(request, 0xfff)
    if ((flags & 4) === 0 /* DTE.TABLES */) return this.#untabled(request, bus, at)
    if ((hi & (bus[at + 3] as number)) | (lo & (bus[at + 4] as number)))
      return this.#refusals.fault(request, ABSENT, bus, at)
    const { iotlb } = this.caches
    const domain = flags >>> 16
    const found = this.#findLarger(request, iotlb, domain, -1)
    if (found !== undefined) return answer(request, found, found.find(hi, lo, domain, -1))
    // The hit path has searched for pages of functions it knew; absent ones it does not tell from those of another use.
    if (!known || this.caps.npCache) {
      const kept = iotlb.pages.find(hi, lo, domain, -1)
      if (kept >= 0 && ((iotlb.pages.words[kept + 3] as number) & access) === access)
        return answer(request, iotlb.pages, kept)
      if (kept >= 0 && (iotlb.pages.words[kept + 3] as number) & LEAF.ABSENT)
        return this.#refusals.fault(request, ABSENT, bus, at)
    }
    return this.#walk(request, bus, at, domain)
  }
  /** A larger leaf that covers the request and allows it. */
  #findLarger(request: DmaRequest, iotlb: Iotlb, owner: number, pasid: number): IotlbTable | undefined {
    const { larger } = iotlb
    for (let i = 0; i < larger.length; i++) {
      const table = larger[i] as IotlbTable
      if (!table.used) continue
      const at = table.find(request.iovaHi, request.iovaLo, owner, pasid)
      if (at >= 0 && ((table.words[at + 3] as number) & request.access) === request.access) return table
    }
    return undefined
  }

  #walk(request: DmaRequest, bus: Int32Array, at: number, domain: number): Status {
    const { iovaHi: hi, iovaLo: lo } = request
    const walk = this.#walkers.host
    this.#walkers.prepare(bus, at)
    const status = walk.walk(hi, lo, request.access, false)
    if (this.#trace?.wants('walk')) this.#traceWalk(request, status)
    const { iotlb } = this.caches
    if (status !== 0) {
      if (this.caps.npCache && status === ABSENT)
        iotlb.pages.put(hi, lo, { owner: domain, domain, pasid: NO_PASID }, ABSENT_LEAF)
      if (codeOf(status) === EVENT_CODE.PAGE_TAB_HARDWARE_ERROR)
        return this.#refusals.refuse(request, status, domain, walk.faultHi, walk.faultLo)
      return this.#refusals.fault(request, status, bus, at)
    }
    const { shift } = walk
    if (shift > 12 && this.#isPartial(hi, lo, shift)) return answerPart(request, walk)
    const table = shift === 12 ? iotlb.pages : iotlb.table(shift)
    owner.owner = owner.domain = domain
    owner.pasid = -1
    return answer(request, table, table.put(hi, lo, owner, walk))
  }
  /** A leaf that overlaps the interrupt range or the excluded one: it is not kept, and answered page by page. */
  #isPartial(hi: number, lo: number, shift: number): boolean {
    const overlaps = (otherHi: number, otherLo: number): boolean => {
      const maskLo = shift >= 32 ? 0 : -1 << shift
      const maskHi = shift <= 32 ? -1 : -1 << (shift - 32)
      return (((hi ^ otherHi) & maskHi) | ((lo ^ otherLo) & maskLo)) === 0
    }
    if (shift < 20 ? hi === 0 && lo >>> 20 === 0xfee : overlaps(0, 0xfee0_0000 | 0)) return true
    return this.#exclusion.overlaps(hi, lo, shift)
  }

  /** Requests without PASID of functions without host tables of their own. */
  #untabled(request: DmaRequest, bus: Int32Array, at: number): Status {
    const flags = bus[at] as number
    if (flags & DTE.GUEST) return this.#guestRequest(request, bus, at, 0)
    // TV is 0: the walk ends before it begins.
    if ((flags & DTE.PASS) === 0) return this.#refusals.fault(request, ABSENT, bus, at)
    if (((flags >>> 4) & request.access) !== request.access) return this.#refusals.fault(request, DENIED, bus, at)
    identity(request)
    if (flags & DTE.FC) request.out.snooped = true
    return DMA.OK
  }

  /** The interrupt range: writes are messages, whatever the tables say; reads have nobody to answer them. */
  #window(request: DmaRequest): Status {
    if (this.#qemu || request.access === 2) return identity(request)
    const status = this.#refusals.device(request.requester, false, ABSENT, request.iovaHi, request.iovaLo)
    if (status !== 0) return status
    const bus = this.#devices.bus(request.requester)
    const at = (request.requester & 0xff) << DTE_WORDS_SHIFT
    if (((bus[at] as number) & DTE.V) === 0) return identity(request)
    return this.#refusals.refuse(request, WINDOW_READ, 0, request.iovaHi, request.iovaLo)
  }

  /** Requests with PASID, and translated requests. */
  #special(request: DmaRequest): Status {
    if (!this.#on || (this.#qemu && !this.#devices.isActive(request.requester))) return identity(request)
    const { requester, iovaHi: hi, iovaLo: lo } = request
    const status = this.#refusals.device(requester, (request.access & 2) !== 0, ABSENT, hi, lo)
    if (status !== 0) return status
    const bus = this.#devices.bus(requester)
    const at = (requester & 0xff) << DTE_WORDS_SHIFT
    if (((bus[at] as number) & DTE.V) === 0) return identity(request)
    if (request.translated) {
      if ((bus[at + 5] as number) & DTE_MORE.I) return identity(request)
      return this.#refusals.refuse(request, PRETRANSLATED, 0, hi, lo)
    }
    if (hi === 0 && lo >>> 20 === 0xfee) return this.#refusals.fault(request, WINDOW_PASID, bus, at)
    if (((bus[at + 5] as number) & DTE_MORE.GV) === 0) return this.#refusals.fault(request, GUEST_ABSENT, bus, at)
    return this.#guestRequest(request, bus, at, request.pasid)
  }

  #guestRequest(request: DmaRequest, bus: Int32Array, at: number, pasid: number): Status {
    const { iovaHi: hi, iovaLo: lo, access } = request
    const { guest } = this.caches
    const domain = (bus[at] as number) >>> 16
    // What a leaf allows to others than unprivileged data accesses is not kept.
    const plain = !request.exec && !request.priv
    if (plain) {
      const kept = guest.pages.find(hi, lo, domain, pasid)
      if (kept >= 0 && ((guest.pages.words[kept + 3] as number) & access) === access)
        return answer(request, guest.pages, kept)
      const table = this.#findLarger(request, guest, domain, pasid)
      if (table) return answer(request, table, table.find(hi, lo, domain, pasid))
    }
    this.#walkers.prepare(bus, at)
    const walk = this.#walkers.guest
    const status = walk.walk(bus, at, pasid, request, this.#walkers.rootTranslated, false)
    if (this.#trace?.wants('walk')) this.#traceWalk(request, status)
    if (status !== 0) return this.#refusals.guestFault(request, status, { bus, at, pasid, walk })
    if (!plain || walk.shift > 30) return answerPart(request, walk)
    const table = walk.shift === 12 ? guest.pages : guest.table(walk.shift)
    owner.owner = owner.domain = domain
    owner.pasid = pasid
    return answer(request, table, table.put(hi, lo, owner, walk))
  }
  #traceWalk(request: DmaRequest, status: number): void {
    this.#trace?.emit('walk', { unit: this.name, requester: request.requester, iova: request.iova, status })
  }

  /** CTRL was written. */
  #control(): void {
    const { registers } = this
    const lo = registers.lo('CTRL')
    const on = (lo & bitsOf(CTRL.IommuEn)) !== 0
    if (on !== this.#on) this.#devices.switch(on)
    this.#on = on
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
    }
  }
}

/** Reused: a leaf is put into a table at once. */
const owner: { owner: number; domain: number; pasid: number } = { owner: 0, domain: 0, pasid: -1 }
const ABSENT_LEAF = { flags: LEAF.ABSENT, frameHi: 0, frameLo: 0 } as const
