/**
 * How QEMU 11.1.3 translates (hw/i386/amd_iommu.c): functions are translated once an INVALIDATE_DEVTAB_ENTRY named them; the IOTLB is
 * asked before the device table, which is not cached; leaves are kept as single pages, by requester.
 */
import { type Bdf, DMA, type DmaRequest, type Status } from '@ioasis/core'
import { EVENT_CODE } from '../spec/event.ts'
import { answer, identity } from './answer.ts'
import { DTE } from './dte-cache.ts'
import type { DteReader } from './dte-reader.ts'
import { codeOf, reason } from './fault.ts'
import type { Refusals } from './refusals.ts'
import type { TranslationCaches } from './translation-caches.ts'
import type { Walkers } from './walkers.ts'

const ABSENT = reason(EVENT_CODE.IO_PAGE_FAULT)

/** What it works with. */
export interface QemuTranslationParts {
  readonly caches: TranslationCaches
  readonly reader: DteReader
  readonly walkers: Walkers
  readonly refusals: Refusals
  /** Property dma-remap: without it nothing is translated. */
  readonly dmaRemapping: boolean
}

/** The translation of a unit with QEMU's personality. */
export class QemuTranslation {
  readonly #parts: QemuTranslationParts

  constructor(parts: QemuTranslationParts) {
    this.#parts = parts
  }

  /** A request of a unit that is on, outside the interrupt range. */
  translate(request: DmaRequest): Status {
    const { requester, iovaHi: hi, iovaLo: lo, access } = request
    const { walkers, refusals } = this.#parts
    const { devices, iotlb } = this.#parts.caches
    if (!devices.isActive(requester)) return identity(request)
    const id = requester & 0xffff
    // An entry without the permission ends the access, unrecorded.
    if (iotlb.pages.find(hi, lo, id, -1) >= 0) return DMA.NO_TARGET
    const status = this.#parts.reader.read(requester)
    if (status !== 0) return refusals.refuse(request, status, 0, 0, 0)
    const { entry } = this.#parts.reader
    const flags = entry[0] as number
    if (flags & DTE.PASS) return identity(request)
    if ((flags & DTE.TABLES) === 0) return ABSENT
    const domain = flags >>> 16
    if ((hi & (entry[3] as number)) | (lo & (entry[4] as number))) return refusals.fault(request, ABSENT, entry, 0)
    walkers.prepare(entry, 0)
    const walk = walkers.host
    const walked = walk.walk(hi, lo, access, false)
    if (codeOf(walked) === EVENT_CODE.PAGE_TAB_HARDWARE_ERROR) {
      const fault = refusals.withRequest(request, ABSENT)
      refusals.each(request, () => {
        refusals.record(requester, walked, 0, 0, 0)
        refusals.record(requester, fault, 0, 0, 0)
      })
      return fault
    }
    if (walked !== 0) return refusals.fault(request, walked, entry, 0)
    // Whatever the leaf's size, one page of it is kept.
    const inside = walk.shift >= 32 ? -1 : (1 << walk.shift) - 1
    const frameLo = walk.frameLo | (lo & inside & ~0xfff)
    const frameHi = walk.shift > 32 ? walk.frameHi | (hi & ((1 << (walk.shift - 32)) - 1)) : walk.frameHi
    const leaf = { flags: walk.flags & 3, frameHi, frameLo }
    return answer(request, iotlb.pages, iotlb.pages.put(hi, lo, { owner: id, domain, pasid: -1 }, leaf))
  }
  /** An INVALIDATE_DEVTAB_ENTRY: the entry is looked at now, and says whether the function is translated from here on. */
  reload(requester: Bdf): void {
    if (!this.#parts.dmaRemapping) return
    const status = this.#parts.reader.read(requester)
    if (status !== 0) this.#parts.refusals.record(requester, status, 0, 0, 0)
    const flags = this.#parts.reader.entry[0] as number
    this.#parts.caches.devices.activate(requester, status !== 0 || (flags & DTE.PASS) === 0)
  }
}
