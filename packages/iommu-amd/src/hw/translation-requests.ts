/** Address Translation Services: devices ask, and keep what they hear; 48882 "Address Translation Services". */
import { type AtsGrant, DMA, type DmaRequest, NO_PASID, type Status } from '@ioasis/core'
import { DEVICE_REQUEST, EVENT_CODE, EVENT_FLAG } from '../spec/event.ts'
import type { Capabilities } from './capabilities.ts'
import { DTE, DTE_MORE, DTE_WORDS_SHIFT, type DteCache } from './dte-cache.ts'
import { codeOf, reason } from './fault.ts'
import { LEAF } from './host-walk.ts'
import type { Refusals } from './refusals.ts'
import type { Walkers } from './walkers.ts'

const { TR } = EVENT_FLAG
const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)
const PRETRANSLATED = reason(EVENT_CODE.INVALID_DEVICE_REQUEST, DEVICE_REQUEST.PRETRANSLATED << 9)

/** What translation requests work with. */
export interface TranslationRequestParts {
  readonly caps: Capabilities
  readonly qemu: boolean
  readonly devices: DteCache
  readonly walkers: Walkers
  readonly refusals: Refusals
  isOn(): boolean
}

/** The ATS side of one unit. */
export class TranslationRequests {
  readonly #parts: TranslationRequestParts

  constructor(parts: TranslationRequestParts) {
    this.#parts = parts
  }

  /** ATS. Page faults are not logged: the device hears of them. 48882 "Address Translation Requests". */
  translate(request: DmaRequest, grant: AtsGrant): Status {
    grant.status = 'ur'
    grant.read = grant.write = grant.snooped = grant.untranslatedOnly = false
    const { requester, iovaHi: hi, iovaLo: lo } = request
    if (!this.#parts.isOn() || this.#parts.qemu || !this.#parts.caps.iotlb) return PRETRANSLATED | (TR << 4)
    const known = this.#parts.refusals.device(requester, false, reason(EVENT_CODE.IO_PAGE_FAULT, TR), hi, lo)
    if (known !== 0) return this.#aborted(known, grant)
    const bus = this.#parts.devices.bus(requester)
    const at = (requester & 0xff) << DTE_WORDS_SHIFT
    const flags = bus[at] as number
    if ((flags & DTE.V) === 0 || ((bus[at + 5] as number) & DTE_MORE.I) === 0) {
      this.#parts.refusals.record(requester, PRETRANSLATED | (TR << 4), 0, hi, lo)
      return PRETRANSLATED | (TR << 4)
    }
    if (request.pasid === NO_PASID && (flags & (DTE.TABLES | DTE.GUEST)) === 0)
      return this.#grantIdentity(request, flags, grant)
    return this.#grantTables(request, bus, at, grant)
  }
  #grantIdentity(request: DmaRequest, flags: number, grant: AtsGrant): Status {
    grant.status = 'success'
    if ((flags & DTE.PASS) === 0) return DMA.OK
    grant.read = (flags & DTE.IR) !== 0
    grant.write = (flags & DTE.IW) !== 0
    grant.snooped = (flags & DTE.FC) !== 0
    grant.hpaHi = request.iovaHi
    grant.hpaLo = request.iovaLo & ~0xfff
    grant.shift = 12
    return DMA.OK
  }
  #grantTables(request: DmaRequest, bus: Int32Array, at: number, grant: AtsGrant): Status {
    const { iovaHi: hi, iovaLo: lo } = request
    const guest = request.pasid !== NO_PASID || ((bus[at] as number) & DTE.GUEST) !== 0
    const beyond = !guest && ((hi & (bus[at + 3] as number)) | (lo & (bus[at + 4] as number))) !== 0
    const none = guest && ((bus[at + 5] as number) & DTE_MORE.GV) === 0
    const { walkers } = this.#parts
    walkers.prepare(bus, at)
    const walk = guest ? walkers.guest : walkers.host
    const status =
      beyond || none
        ? ABSENT
        : guest
          ? walkers.guest.walk(bus, at, Math.max(request.pasid, 0), request, walkers.rootTranslated, true)
          : walkers.host.walk(hi, lo, request.access, true)
    if (codeOf(status) === EVENT_CODE.PAGE_TAB_HARDWARE_ERROR) {
      const tag = guest ? Math.max(request.pasid, 0) : (bus[at] as number) >>> 16
      const { faultHi, faultLo } = walk
      this.#parts.refusals.record(request.requester, status | (TR << 4), tag, faultHi, faultLo)
      return this.#aborted(status | (TR << 4), grant)
    }
    grant.status = 'success'
    if (status !== 0) return DMA.OK
    grant.read = (walk.flags & LEAF.READ) !== 0
    grant.write = (walk.flags & LEAF.WRITE) !== 0
    grant.snooped = (walk.flags & LEAF.SNOOP) !== 0
    grant.untranslatedOnly = (walk.flags & LEAF.U) !== 0
    grant.hpaHi = walk.frameHi
    grant.hpaLo = walk.frameLo
    grant.shift = walk.shift
    return DMA.OK
  }
  #aborted(status: number, grant: AtsGrant): Status {
    const hardware =
      codeOf(status) === EVENT_CODE.DEV_TAB_HARDWARE_ERROR || codeOf(status) === EVENT_CODE.PAGE_TAB_HARDWARE_ERROR
    grant.status = hardware ? 'ca' : 'ur'
    return status
  }
}
