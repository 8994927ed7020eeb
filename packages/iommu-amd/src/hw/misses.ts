/**
 * Requests without PASID that the hit path of `AmdUnit.translate` does not answer. The order of checks is the specification's:
 * IommuEn, interrupt range, device table entry, exclusion range, permissions of the entry, width, larger leaves, tables.
 */
import { DMA, type DmaRequest, NO_PASID, type Status, type Trace } from '@ioasis/core'
import { DEVICE_REQUEST, EVENT_CODE, EVENT_FLAG } from '../spec/event.ts'
import { answer, answerPart, identity } from './answer.ts'
import type { Capabilities } from './capabilities.ts'
import { DTE, DTE_WORDS_SHIFT, type DteCache } from './dte-cache.ts'
import type { ExclusionRange } from './exclusion-range.ts'
import { codeOf, reason } from './fault.ts'
import type { GuestRequests } from './guest-requests.ts'
import { LEAF } from './host-walk.ts'
import type { Iotlb } from './iotlb.ts'
import type { QemuTranslation } from './qemu-translation.ts'
import type { Refusals } from './refusals.ts'
import type { TranslationCaches } from './translation-caches.ts'
import { traceWalk, type Walkers } from './walkers.ts'

const { PE, PR } = EVENT_FLAG
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)
const DENIED = reason(EVENT_CODE.IO_PAGE_FAULT, PR | PE)
const WINDOW_READ = reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.INTERRUPT_READ << 9)

/** What misses work with. */
export interface MissParts {
  readonly caps: Capabilities
  readonly caches: TranslationCaches
  readonly walkers: Walkers
  readonly refusals: Refusals
  readonly exclusion: ExclusionRange
  readonly guests: GuestRequests
  /** The unit has QEMU's personality. */
  readonly qemu: QemuTranslation | undefined
  /** Told of each walk. */
  readonly trace: Trace | undefined
  /** The unit's. */
  readonly name: string
}

/** The miss path of one unit. Constants are literals where it is hot: V8 loads and checks what a module imports on each use. */
export class Misses {
  /** CTRL.IommuEn. */
  on = false
  // Fields of its own: a look through `MissParts` on each walk would take as long as reading an entry.
  readonly #devices: DteCache
  readonly #iotlb: Iotlb
  readonly #walkers: Walkers
  readonly #refusals: Refusals
  readonly #exclusion: ExclusionRange
  readonly #guests: GuestRequests
  readonly #qemu: QemuTranslation | undefined
  readonly #trace: Trace | undefined
  readonly #name: string
  readonly #npCache: boolean

  constructor({ caps, caches, walkers, refusals, exclusion, guests, qemu, trace, name }: MissParts) {
    this.#devices = caches.devices
    this.#iotlb = caches.iotlb
    this.#walkers = walkers
    this.#refusals = refusals
    this.#exclusion = exclusion
    this.#guests = guests
    this.#qemu = qemu
    this.#trace = trace
    this.#name = name
    this.#npCache = caps.npCache
  }

  /** A request for which no usable leaf of 4 KiB was found. */
  request(request: DmaRequest): Status {
    if (!this.on) return identity(request)
    const { requester, iovaHi: hi, iovaLo: lo, access } = request
    if (hi === 0 && lo >>> 20 === 0xfee) return this.#window(request)
    if (this.#qemu) return this.#qemu.translate(request)
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
    const iotlb = this.#iotlb
    const domain = flags >>> 16
    const found = iotlb.findLarger(hi, lo, domain, -1, access)
    if (found !== undefined) return answer(request, found, found.find(hi, lo, domain, -1))
    // The hit path has searched for pages of functions it knew; absent ones it does not tell from those of another use.
    if (!known || this.#npCache) {
      const kept = iotlb.pages.find(hi, lo, domain, -1)
      if (kept >= 0 && ((iotlb.pages.words[kept + 3] as number) & access) === access)
        return answer(request, iotlb.pages, kept)
      if (kept >= 0 && (iotlb.pages.words[kept + 3] as number) & LEAF.ABSENT)
        return this.#refusals.fault(request, ABSENT, bus, at)
    }
    return this.#walk(request, bus, at, domain)
  }

  #walk(request: DmaRequest, bus: Int32Array, at: number, domain: number): Status {
    const { iovaHi: hi, iovaLo: lo } = request
    const walk = this.#walkers.host
    this.#walkers.prepare(bus, at)
    const status = walk.walk(hi, lo, request.access, false)
    if (this.#trace?.wants('walk')) traceWalk(this.#trace, this.#name, request, status)
    const iotlb = this.#iotlb
    if (status !== 0) {
      const refusals = this.#refusals
      if (this.#npCache && status === ABSENT)
        iotlb.pages.put(hi, lo, { owner: domain, domain, pasid: NO_PASID }, ABSENT_LEAF)
      if (codeOf(status) === EVENT_CODE.PAGE_TAB_HARDWARE_ERROR)
        return refusals.refuse(request, status, domain, walk.faultHi, walk.faultLo)
      return refusals.fault(request, status, bus, at)
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

  /** Requests of functions without host tables of their own. */
  #untabled(request: DmaRequest, bus: Int32Array, at: number): Status {
    const refusals = this.#refusals
    const flags = bus[at] as number
    if (flags & DTE.GUEST) return this.#guests.request(request, bus, at, 0)
    // TV is 0: the walk ends before it begins.
    if ((flags & DTE.PASS) === 0) return refusals.fault(request, ABSENT, bus, at)
    if (((flags >>> 4) & request.access) !== request.access) return refusals.fault(request, DENIED, bus, at)
    identity(request)
    if (flags & DTE.FC) request.out.snooped = true
    return DMA.OK
  }

  /** The interrupt range: writes are messages, whatever the tables say; reads have nobody to answer them. */
  #window(request: DmaRequest): Status {
    if (this.#qemu || request.access === 2) return identity(request)
    const { requester, iovaHi: hi, iovaLo: lo } = request
    const refusals = this.#refusals
    const status = refusals.device(requester, false, ABSENT, hi, lo)
    if (status !== 0) return status
    const entry = this.#devices.bus(requester)[(requester & 0xff) << DTE_WORDS_SHIFT] as number
    return entry & DTE.V ? refusals.refuse(request, WINDOW_READ, 0, hi, lo) : identity(request)
  }
}

/** Reused: a leaf is put into a table at once. */
const owner: { owner: number; domain: number; pasid: number } = { owner: 0, domain: 0, pasid: -1 }
const ABSENT_LEAF = { flags: LEAF.ABSENT, frameHi: 0, frameLo: 0 } as const
