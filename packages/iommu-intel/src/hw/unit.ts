/**
 * One VT-d unit, legacy mode: requests in, host addresses or fault reasons out.
 *
 * The order of checks is the specification's: mode, root entry, context entry, address width, second stage, output address;
 * Intel VT-d r4.1 "DMA Remapping". Scalable mode is not modelled: a unit told to use it refuses every request with reason
 * 0x30. Nor are protected memory regions, advanced fault logging, and interrupt remapping beyond its registers: messages
 * pass as they are.
 */
import {
  type Bdf,
  bytesTogether,
  type Claim,
  DMA,
  type DmaRequest,
  type Explanation,
  get,
  type HostMemory,
  type IommuUnit,
  type MmioWindow,
  NO_PASID,
  type Status,
  TARGET,
  type Trace,
} from '@ioasis/core'
import { REASON, reasonText } from '../spec/fault-reason.ts'
import { ADDRESS_TYPE, GCMD, RTADDR, TTM } from '../spec/registers.ts'
import { type Capabilities, capabilitiesOf } from './capabilities.ts'
import { type ContextCache, CTX, CTX_SHIFT } from './context-cache.ts'
import { ContextLookup } from './context-lookup.ts'
import type { Raise } from './event-interrupt.ts'
import { explainTranslation, type UnitState } from './explain.ts'
import { FaultLog } from './fault-log.ts'
import { cachedClaims } from './inspect.ts'
import { InvalidationQueue } from './invalidation-queue.ts'
import { RegisterInvalidation } from './invalidation-registers.ts'
import { type IotlbTable } from './iotlb.ts'
import { type VtdRegisters, vtdRegisters } from './registers.ts'
import { TranslationCaches } from './translation-caches.ts'
import { LEAF, SecondStageWalk } from './walk.ts'

/** What one unit is. */
export interface VtdUnitOptions {
  readonly name: string
  /** CAP_REG and ECAP_REG, u64. */
  readonly cap: bigint
  readonly ecap: bigint
  /** Host address width in bits, at most 52. */
  readonly haw: number
  readonly covers: (segment: number, requester: Bdf) => boolean
  /**
   * Invalidations (queued and by register) stay undone, and status words unwritten, until software loads any register or
   * `poll` runs. A driver that polls for completion as Linux does (reading FSTS on the way) notices nothing; one that goes
   * on without waiting leaves stale entries that DMA can use.
   */
  readonly lag?: boolean
  /** Where the specification leaves a choice, or QEMU departs from it: default `specification`. */
  readonly personality?: 'specification' | 'qemu'
  /** VER_REG; default 1.0. */
  readonly version?: number
}

/** Bits 31:20 of an address in the interrupt window, whose high word is 0. */
const WINDOW = 0xfee

/** The silicon of one unit. */
export class VtdUnit implements IommuUnit {
  readonly name: string
  readonly mmio: MmioWindow
  readonly registers: VtdRegisters
  readonly caps: Capabilities
  readonly caches: TranslationCaches
  readonly #covers: VtdUnitOptions['covers']
  readonly #qemu: boolean
  readonly #memory: HostMemory
  readonly #trace: Trace | undefined
  readonly #lookup: ContextLookup
  readonly #walk: SecondStageWalk
  readonly #faults: FaultLog
  readonly #commands: RegisterInvalidation
  readonly #queue: InvalidationQueue
  /** Parts of `caches`, at hand for the hit path. */
  readonly #contexts: ContextCache
  readonly #buses: readonly Int32Array[]
  readonly #pageWords: Int32Array
  /** GSTS.TES. */
  #translating = false
  /** Translating, with tables this unit can read: the fast path. */
  #legacy = false
  /** The root table address as SRTP latched it. */
  #rootHi = 0
  #rootLo = 0

  /**
   * @param memory what the unit reads tables from
   * @param raise sends the unit's own interrupts (fault event, invalidation completion)
   * @throws RangeError when the capabilities contradict each other
   */
  constructor(options: VtdUnitOptions, memory: HostMemory, raise: Raise, trace?: Trace) {
    const { name, covers, lag = false, personality = 'specification' } = options
    const qemu = personality === 'qemu'
    this.name = name
    this.#covers = covers
    this.#qemu = qemu
    this.#memory = memory
    this.#trace = trace
    this.caps = capabilitiesOf(options.cap, options.ecap, options.haw)
    this.registers = vtdRegisters(this.caps, options.version ?? 0x10)
    this.caches = new TranslationCaches(qemu)
    this.#contexts = this.caches.contexts
    this.#buses = this.caches.contexts.buses
    this.#pageWords = this.caches.iotlb.pages.words
    this.#lookup = new ContextLookup(memory, this.caps, qemu)
    this.#walk = new SecondStageWalk(memory, this.caps, qemu)
    this.#faults = new FaultLog(this.registers, this.caps.faultRecords, raise, { collapse: qemu, staleEvents: qemu })
    const { registers, caps, caches } = this
    this.#commands = new RegisterInvalidation(registers, caps, caches, { lag, hangsWithQueue: qemu })
    this.#queue = new InvalidationQueue({ memory, registers, caps, caches, faults: this.#faults, raise }, { lag, qemu })
    registers.onWrite('GCMD', (value) => this.#command(value))
    this.mmio = lag ? this.#pollingWindow() : registers
  }

  covers(segment: number, requester: Bdf): boolean {
    return this.#covers(segment, requester)
  }

  /**
   * The hit path: the requester asked for last, one IOTLB set. It asks neither for the mode nor for the interrupt window: both
   * caches are empty while the unit does not translate, and the window is never cached. Constants are literals in here, and so
   * is the search of `IotlbTable.find`: V8 loads and checks what a module imports on each use.
   */
  translate(request: DmaRequest): Status {
    const { requester, iovaHi: hi, iovaLo: lo } = request
    if (request.pasid !== -1 /* NO_PASID */ || request.translated) return this.#special(request)
    const contexts = this.#contexts
    if (requester !== contexts.recent && !contexts.recall(requester)) return this.#miss(request)
    const words = this.#pageWords
    const owner = contexts.recentOwner
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
    return cachedClaims(this.name, this.caches.iotlb)
  }
  /** Completes the commands that a unit with lag holds back; nothing to do on others. */
  poll(): void {
    this.#commands.complete()
    this.#queue.run()
  }

  /** Requests with PASID, translated requests, and all requests while the unit does not use legacy tables. */
  #special(request: DmaRequest): Status {
    if (!this.#translating) return identity(request)
    const window = inWindow(request)
    if (window && request.pasid === NO_PASID && !request.translated) return identity(request)
    const type = request.translated ? ADDRESS_TYPE.TRANSLATED : ADDRESS_TYPE.UNTRANSLATED
    if (!this.#legacy) return this.#refuse(request, REASON.MODE_INVALID, false, type)
    if (request.pasid !== NO_PASID) return this.#refuse(request, REASON.MODE_PASID, false, type)
    const reason = this.#context(request.requester)
    if (reason !== 0) return this.#refuse(request, reason, this.#lookup.faultsDisabled, type)
    const flags = this.#cachedContext(request.requester)
    const faultsDisabled = (flags & CTX.FPD) !== 0
    if ((flags & CTX.DEVICE_TLB) === 0) return this.#refuse(request, REASON.BLOCKED_TYPE, faultsDisabled, type)
    if (window) return this.#refuse(request, REASON.INTERRUPT_OUTPUT, faultsDisabled, type)
    return identity(request)
  }

  /** No usable IOTLB entry for a page: context entry, larger leaves, then the tables. Literals as in `translate`. */
  #miss(request: DmaRequest): Status {
    if (!this.#legacy) return this.#special(request)
    const { requester, iovaHi, access } = request
    if (iovaHi === 0 && request.iovaLo >>> 20 === 0xfee) return identity(request)
    const at = (requester & 0xff) << 2 // CTX_SHIFT
    let bus = this.#buses[(requester >>> 8) & 0xff] as Int32Array
    const known = ((bus[at] as number) & 1) !== 0 // CTX.VALID
    if (!known) {
      const reason = this.#context(requester)
      if (reason !== 0) return this.#refuse(request, reason, this.#lookup.faultsDisabled, ADDRESS_TYPE.UNTRANSLATED)
      bus = this.#buses[(requester >>> 8) & 0xff] as Int32Array
    }
    const flags = bus[at] as number
    const faultsDisabled = (flags & 2) !== 0 // CTX.FPD
    if (iovaHi & (bus[at + 3] as number)) {
      return this.#refuse(request, REASON.BEYOND_WIDTH, faultsDisabled, ADDRESS_TYPE.UNTRANSLATED)
    }
    if (flags & 8) return identity(request) // CTX.PASS_THROUGH
    const { caches } = this
    // In QEMU an entry without the permission ends the access, unrecorded; the specification asks the tables again.
    const from = known && !this.#qemu && (flags & 0x80) === 0 ? 2 : 1 // CTX.MOVED
    if (caches.find(request, flags, from, this.#qemu)) {
      const allowed = ((caches.table.words[caches.at + 3] as number) & access) === access
      return allowed ? answer(request, caches.table, caches.at) : DMA.NO_TARGET
    }
    const walk = this.#walk
    const status = walk.walk(bus, at, request)
    if (this.#trace?.wants('walk')) this.#trace.emit('walk', { unit: this.name, requester, iova: request.iova, status })
    if (status !== 0) return this.#refuse(request, status, faultsDisabled, ADDRESS_TYPE.UNTRANSLATED)
    if (walk.partial) return this.#answerPart(request)
    const table = caches.iotlb.table(walk.level)
    return answer(request, table, table.put(request, caches.owner(flags, requester), walk))
  }
  /** A leaf that is not kept because it overlaps the interrupt window: one page of it. */
  #answerPart(request: DmaRequest): Status {
    const { frameHi, frameLo, flags, level } = this.#walk
    const { out, iovaLo, length } = request
    out.target = TARGET.MEMORY
    out.hpaHi = frameHi
    out.hpaLo = frameLo | (iovaLo & this.caches.iotlb.table(level).offsetMask)
    out.bytes = Math.min(length, 0x1000 - (iovaLo & 0xfff))
    out.snooped = !request.noSnoop || (flags & LEAF.SNOOP) !== 0
    return DMA.OK
  }

  #cachedContext(requester: Bdf): number {
    const bus = this.caches.contexts.buses[(requester >>> 8) & 0xff] as Int32Array
    return bus[(requester & 0xff) << CTX_SHIFT] as number
  }
  /** Makes sure that the requester's context entry is cached. @returns 0 or a fault reason */
  #context(requester: Bdf): number {
    if (this.#cachedContext(requester) & CTX.VALID) return 0
    const reason = this.#lookup.read(this.#rootHi, this.#rootLo, requester)
    if (reason === 0) this.caches.contexts.put(requester, this.#lookup.entry)
    return reason
  }
  #refuse(request: DmaRequest, reason: number, faultsDisabled: boolean, addressType: number): Status {
    if (!faultsDisabled) this.#faults.record(request, reason, addressType)
    return reason
  }

  /** GCMD: the state bits as written, and the one-shots. */
  #command(value: number): void {
    const { registers } = this
    const changed = value ^ registers.lo('GSTS')
    if (changed & GCMD.TE) {
      this.#translating = (value & GCMD.TE) !== 0
      this.#setStatus(GCMD.TE, value)
      this.caches.dropAll()
    }
    if (value & GCMD.SRTP) this.#setRoot()
    if (changed & GCMD.QIE && this.caps.queued) this.#setQueue((value & GCMD.QIE) !== 0)
    const { interruptRemapping } = this.caps
    // QEMU takes a table pointer on any unit, and never tells that it lets compatibility-format interrupts through.
    if (interruptRemapping) this.#setStatus(this.#qemu ? GCMD.IRE : GCMD.IRE | GCMD.CFI, value)
    if (value & GCMD.SIRTP && (interruptRemapping || this.#qemu)) this.#setStatus(GCMD.SIRTP, GCMD.SIRTP)
  }
  #setStatus(mask: number, value: number): void {
    this.registers.set('GSTS', (this.registers.lo('GSTS') & ~mask) | (value & mask))
    this.#legacy = this.#translating && this.#mode() === TTM.LEGACY
  }
  #setRoot(): void {
    this.#rootLo = this.registers.lo('RTADDR')
    this.#rootHi = this.registers.hi('RTADDR')
    this.#setStatus(GCMD.SRTP, GCMD.SRTP)
    this.caches.dropAll()
  }
  #setQueue(on: boolean): void {
    if (on) {
      this.#setStatus(GCMD.QIE, GCMD.QIE)
      this.#queue.enable()
    } else if (this.#queue.disable()) this.#setStatus(GCMD.QIE, 0)
  }
  /** QEMU takes the tables as legacy ones on a unit without scalable mode, whatever the mode says. */
  #mode(): number {
    return this.#qemu && !this.caps.scalable ? TTM.LEGACY : get(RTADDR.TTM, this.#rootLo, 0)
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
      memory: this.#memory,
      caps: this.caps,
      lookup: this.#lookup,
      walk: this.#walk,
      caches: this.caches,
      translating: this.#translating,
      legacy: this.#legacy,
      rootHi: this.#rootHi,
      rootLo: this.#rootLo,
      context: (requester) => {
        const bus = this.caches.contexts.buses[(requester >>> 8) & 0xff] as Int32Array
        const at = (requester & 0xff) << CTX_SHIFT
        return (bus[at] as number) & CTX.VALID ? bus.slice(at, at + 4) : undefined
      },
    }
  }
}

const inWindow = (request: DmaRequest): boolean => request.iovaHi === 0 && request.iovaLo >>> 20 === WINDOW

/** The address stays as it is. The interrupt window is a target of its own, so nothing crosses its ends. */
function identity(request: DmaRequest): Status {
  const { out, iovaHi, iovaLo, length } = request
  out.target = inWindow(request) ? TARGET.INTERRUPT : TARGET.MEMORY
  out.hpaHi = iovaHi
  out.hpaLo = iovaLo
  out.bytes = Math.min(length, 0x10_0000 - (iovaLo & 0xf_ffff))
  out.snooped = !request.noSnoop
  return DMA.OK
}

/** Answers from an IOTLB entry of any size. Literals as in `translate`. */
function answer(request: DmaRequest, table: IotlbTable, at: number): Status {
  const { out, iovaLo, length } = request
  const { words, offsetMask } = table
  const leaf = words[at + 3] as number
  const offset = iovaLo & offsetMask
  let left = offsetMask + 1 - offset
  // A leaf of 1 GiB may map addresses on both sides of the interrupt window, which is not translated.
  if (left > 0x20_0000 && request.iovaHi === 0) {
    const beforeWindow = 0xfee0_0000 - (iovaLo >>> 0)
    if (beforeWindow > 0 && beforeWindow < left) left = beforeWindow
  }
  out.target = 1 // TARGET.MEMORY
  out.hpaLo = (leaf & ~0xfff) | offset
  out.hpaHi = words[at + 4] as number
  out.bytes = length < left ? length : left
  out.snooped = !request.noSnoop || (leaf & 4) !== 0 // LEAF.SNOOP
  return 0 // DMA.OK
}
