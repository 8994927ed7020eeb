/**
 * Requests that guest tables decide, and those with a PASID or an address that the device translated itself; 48882 "Guest and
 * Nested Address Translation", "Address Translation Services".
 */
import type { DmaRequest, Status, Trace } from '@ioasis/core'
import { DEVICE_REQUEST, EVENT_CODE, EVENT_FLAG } from '../spec/event.ts'
import { answer, answerPart, identity } from './answer.ts'
import { DTE, DTE_MORE, DTE_WORDS_SHIFT, type DteCache } from './dte-cache.ts'
import { reason } from './fault.ts'
import type { Iotlb } from './iotlb.ts'
import type { Refusals } from './refusals.ts'
import type { TranslationCaches } from './translation-caches.ts'
import { traceWalk, type Walkers } from './walkers.ts'

const { GN, I } = EVENT_FLAG
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)
const GUEST_ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT, GN)
const PRETRANSLATED = reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.PRETRANSLATED << 9)
const WINDOW_PASID = reason(EVENT_CODE.IO_PAGE_FAULT, GN | I)

/** What these requests work with. */
export interface GuestRequestParts {
  readonly qemu: boolean
  readonly caches: TranslationCaches
  readonly walkers: Walkers
  readonly refusals: Refusals
  /** Told of each walk. */
  readonly trace: Trace | undefined
  /** The unit's. */
  readonly name: string
}

/** The guest side of one unit. */
export class GuestRequests {
  /** CTRL.IommuEn. */
  on = false
  readonly #qemu: boolean
  readonly #devices: DteCache
  readonly #iotlb: Iotlb
  readonly #walkers: Walkers
  readonly #refusals: Refusals
  readonly #trace: Trace | undefined
  readonly #name: string

  constructor({ qemu, caches, walkers, refusals, trace, name }: GuestRequestParts) {
    this.#qemu = qemu
    this.#devices = caches.devices
    this.#iotlb = caches.guest
    this.#walkers = walkers
    this.#refusals = refusals
    this.#trace = trace
    this.#name = name
  }

  /** Requests with PASID, and translated requests. */
  special(request: DmaRequest): Status {
    const devices = this.#devices
    const refusals = this.#refusals
    if (!this.on || (this.#qemu && !devices.isActive(request.requester))) return identity(request)
    const { requester, iovaHi: hi, iovaLo: lo } = request
    const status = refusals.device(requester, (request.access & 2) !== 0, ABSENT, hi, lo)
    if (status !== 0) return status
    const bus = devices.bus(requester)
    const at = (requester & 0xff) << DTE_WORDS_SHIFT
    if (((bus[at] as number) & DTE.V) === 0) return identity(request)
    if (request.translated) {
      if ((bus[at + 5] as number) & DTE_MORE.I) return identity(request)
      return refusals.refuse(request, PRETRANSLATED, 0, hi, lo)
    }
    if (hi === 0 && lo >>> 20 === 0xfee) return refusals.fault(request, WINDOW_PASID, bus, at)
    if (((bus[at + 5] as number) & DTE_MORE.GV) === 0) return refusals.fault(request, GUEST_ABSENT, bus, at)
    return this.request(request, bus, at, request.pasid)
  }

  /** Through the tables of a PASID. @param bus words of the device table cache @param at index of the entry among them */
  request(request: DmaRequest, bus: Int32Array, at: number, pasid: number): Status {
    // What a leaf allows to others than unprivileged data accesses is not kept.
    if (request.exec || request.priv) return this.#walk(request, bus, at, pasid)
    const { iovaHi: hi, iovaLo: lo, access } = request
    const { pages } = this.#iotlb
    const domain = (bus[at] as number) >>> 16
    const kept = pages.find(hi, lo, domain, pasid)
    if (kept >= 0 && ((pages.words[kept + 3] as number) & access) === access) return answer(request, pages, kept)
    const table = this.#iotlb.findLarger(hi, lo, domain, pasid, access)
    if (table !== undefined) return answer(request, table, table.find(hi, lo, domain, pasid))
    return this.#walk(request, bus, at, pasid)
  }
  #walk(request: DmaRequest, bus: Int32Array, at: number, pasid: number): Status {
    const { iovaHi: hi, iovaLo: lo } = request
    const walkers = this.#walkers
    walkers.prepare(bus, at)
    const walk = walkers.guest
    const status = walk.walk(bus, at, pasid, request, walkers.rootTranslated, false)
    if (this.#trace?.wants('walk')) traceWalk(this.#trace, this.#name, request, status)
    if (status !== 0) return this.#refusals.guestFault(request, status, { bus, at, pasid, walk })
    if (request.exec || request.priv || walk.shift > 30) return answerPart(request, walk)
    const table = walk.shift === 12 ? this.#iotlb.pages : this.#iotlb.table(walk.shift)
    owner.owner = owner.domain = (bus[at] as number) >>> 16
    owner.pasid = pasid
    return answer(request, table, table.put(hi, lo, owner, walk))
  }
}

/** Reused: a leaf is put into a table at once. */
const owner: { owner: number; domain: number; pasid: number } = { owner: 0, domain: 0, pasid: -1 }
