/**
 * A POWER host bridge of the PHB4 kind as silicon: requester to endpoint, endpoint and address bit 59 to window, window to TCE
 * table, and the freeze of an endpoint whose request failed. skiboot hw/phb4.c; QEMU hw/pci-host/pnv_phb4.c. It is programmed by
 * firmware (`OpalFirmware` in this room), never by the kernel.
 *
 * Not modelled: nested error levels (a fenced bridge, a dead hub), the freeze's parent endpoints (PELT-V), peer-to-peer between
 * bridges, caches of anything but last entries. Configuration cycles pass a freeze.
 */
import {
  type Bdf,
  type Claim,
  type DmaRequest,
  type Explanation,
  type HostMemory,
  type InterruptMessage,
  type IommuUnit,
  join,
  type MsiMessage,
  type Status,
} from '@ioasis/core'
import { REASON, reasonText } from '../spec/fault-reason.ts'
import { FREEZE } from '../spec/opal.ts'
import { TCE } from '../spec/tce.ts'
import { type BridgeState, explainTranslation } from './explain.ts'
import { ownerOf, PART_SHIFT, TceCache } from './tce-cache.ts'
import { WindowTable } from './tvt.ts'
import { TceWalk } from './walk.ts'

/** What one bridge is. */
export interface PhbOptions {
  readonly name: string
  /** PCI domain it serves. */
  readonly segment: number
  /** Number of endpoints. */
  readonly endpoints: number
  /**
   * `specification`: a failed request freezes its endpoint, and addresses beyond a window's table fail. `qemu`: nothing freezes,
   * and address bits above the table are not looked at. Default `specification`.
   */
  readonly personality?: 'specification' | 'qemu'
}

/** A request that was dropped. */
export interface PhbError {
  readonly pe: number
  readonly requester: Bdf
  readonly iova: bigint
  readonly write: boolean
  readonly reason: number
}
/** Errors kept for reading. */
const ERRORS_KEPT = 256
/** No endpoint. */
const NONE = 0xffff

/** The silicon of one bridge. */
export class Phb implements IommuUnit, BridgeState {
  readonly name: string
  readonly segment: number
  readonly endpoints: number
  readonly windows: WindowTable
  readonly cache: TceCache = new TceCache()
  /** Requests dropped, oldest first; the last `ERRORS_KEPT`. */
  readonly errors: PhbError[] = []
  /** Told when an endpoint's MMIO stops or goes on, and of errors. */
  onFreeze: ((pe: number, mmio: boolean) => void) | undefined
  onError: ((error: PhbError) => void) | undefined
  /** MSI writes to 0xffff0000 up, or with 1 in bits 63:60; the data is the source number. */
  readonly msi: {
    readonly address: bigint
    remap(message: MsiMessage, requester: Bdf): InterruptMessage
  } = {
    address: 0xffff_0000n,
    remap: ({ data }) => ({ vector: data & 0xff, dest: 0, destMode: 'physical', deliveryMode: 0 }),
  }
  readonly #qemu: boolean
  readonly #walk: TceWalk
  /** Requester to endpoint. */
  readonly #endpointOf = new Uint16Array(0x1_0000).fill(NONE)
  /** The same, -1 where requests stop: no endpoint, or its DMA is frozen. */
  readonly #open = new Int16Array(0x1_0000).fill(-1)
  readonly #frozen: Uint8Array
  /** Parts of the above, at hand for the hit path. */
  readonly #cached: Int32Array
  readonly #owners: Int32Array
  readonly #windowWords: Int32Array
  readonly #kinds: Uint8Array
  readonly #windowBytes: Float64Array

  /** @param memory what tables are read from */
  constructor(options: PhbOptions, memory: HostMemory) {
    const { name, segment, endpoints, personality = 'specification' } = options
    this.name = name
    this.segment = segment
    this.endpoints = endpoints
    this.#qemu = personality === 'qemu'
    this.windows = new WindowTable(endpoints)
    this.#frozen = new Uint8Array(endpoints)
    this.#walk = new TceWalk(memory, this.windows)
    this.#cached = this.cache.words
    this.#owners = this.windows.owners
    this.#windowWords = this.windows.words
    this.#kinds = this.windows.kinds
    this.#windowBytes = this.windows.bytes
  }

  covers(segment: number): boolean {
    return segment === this.segment
  }

  /** The hit path. Constants are literals in here, as V8 loads and checks what a module imports on each use. */
  translate(request: DmaRequest): Status {
    const { requester, iovaHi: hi, iovaLo: lo } = request
    const pe = this.#open[requester & 0xffff] as number
    if (pe < 0 || request.pasid !== -1 /* NO_PASID */ || request.translated) return this.#refuseEarly(request)
    const window = (pe << 1) | ((hi >>> 27) & 1)
    const owner = this.#owners[window] as number
    // Shifts by an owner are shifts by log2 of what its entries stand for; the set is the one `setOf` of the cache names.
    const inPart = (1 << owner) - 1
    const tag = lo & ~inPart
    const words = this.#cached
    let at = (((lo >>> owner) ^ hi ^ (owner >>> 2)) & 511) << 3
    for (; at < 8192; at += 4096) {
      if (words[at] !== tag || words[at + 1] !== hi || words[at + 2] !== owner) continue
      const tce = words[at + 3] as number
      if ((tce & request.access) !== request.access) break
      const { out, length } = request
      const offset = lo & inPart
      const left = inPart + 1 - offset
      out.target = 1 // TARGET.MEMORY
      out.hpaLo = (tce & ~inPart) | offset
      out.hpaHi = words[at + 4] as number
      out.bytes = length < left ? length : left
      out.snooped = true
      return 0 // DMA.OK
    }
    return this.#miss(request, pe, window)
  }

  explain(request: DmaRequest): Explanation {
    return explainTranslation(this, this.#walk, request)
  }
  reasonText(status: Status): string {
    return reasonText(status)
  }
  inspect(): readonly Claim[] {
    return this.cache.claims(this.name)
  }

  endpointOf(requester: Bdf): number | undefined {
    const pe = this.#endpointOf[requester & 0xffff] as number
    return pe === NONE ? undefined : pe
  }
  /** Gives requesters `first` to `last` to an endpoint, or takes them from every one. */
  setEndpoint(first: Bdf, last: Bdf, pe: number | undefined): void {
    this.#endpointOf.fill(pe ?? NONE, first, last + 1)
    this.#reopen(first, last)
  }
  /** Bits of `FREEZE` that are set. */
  frozen(pe: number): number {
    return this.#frozen[pe] as number
  }
  /** Sets what of an endpoint is frozen. */
  setFrozen(pe: number, what: number): void {
    const before = this.#frozen[pe] as number
    this.#frozen[pe] = what
    if ((before ^ what) & FREEZE.DMA) this.#reopen()
    if ((before ^ what) & FREEZE.MMIO) this.onFreeze?.(pe, (what & FREEZE.MMIO) !== 0)
  }
  /** Drops cached entries of `pages` pages of 2^shift bytes. */
  killPages(pe: number, hi: number, lo: number, shift: number, pages: number): void {
    if (pages > 64 || shift > PART_SHIFT) {
      const first = join(hi, lo)
      this.cache.dropRange(pe, first, first + (BigInt(pages) << BigInt(shift)) - 1n)
      return
    }
    const owner = ownerOf((pe << 1) | ((hi >>> 27) & 1), shift)
    const page = 2 ** shift
    for (let n = 0, h = hi, l = lo; n < pages; n++) {
      this.cache.drop(h, l, owner)
      l = (l + page) | 0
      if (l >>> 0 < page) h = (h + 1) | 0
    }
  }

  /** A request of nobody, of a frozen endpoint, or of a kind the bridge does not take. */
  #refuseEarly(request: DmaRequest): Status {
    return this.#refuse(request, this.early(request))
  }
  early(request: DmaRequest): number {
    const pe = this.#endpointOf[request.requester & 0xffff] as number
    if (pe === NONE) return REASON.NO_ENDPOINT
    if (this.frozen(pe) & FREEZE.DMA) return REASON.FROZEN
    return request.pasid !== -1 || request.translated ? REASON.KIND : 0
  }
  outside(request: DmaRequest, window: number): number {
    const { iovaHi: hi } = request
    if (hi >>> 28 !== 0) return REASON.ADDRESS_SPACE
    if (this.#kinds[window] === 0 /* WINDOW.ABSENT */) return REASON.NO_WINDOW
    if (this.#qemu) return 0
    // Bit 59 chose the window; it is no part of the address in it.
    const within = (hi & 0x7ff_ffff) * 0x1_0000_0000 + (request.iovaLo >>> 0)
    return within < (this.#windowBytes[window] as number) ? 0 : REASON.BEYOND_WINDOW
  }

  #miss(request: DmaRequest, pe: number, window: number): Status {
    const { iovaHi: hi, iovaLo: lo, out, length } = request
    if (hi >>> 28 === 1 || (hi === 0 && lo >>> 16 === 0xffff)) {
      out.target = 2 // TARGET.INTERRUPT
      out.hpaHi = hi
      out.hpaLo = lo
      out.bytes = Math.min(length, 0x1_0000 - (lo & 0xffff))
      out.snooped = true
      return 0
    }
    const outside = this.outside(request, window)
    if (outside !== 0) return this.#refuse(request, outside, pe)
    if (this.#kinds[window] === 1 /* WINDOW.UNTRANSLATED */) {
      out.target = 1 // TARGET.MEMORY
      out.hpaHi = hi & 0x3_ffff
      out.hpaLo = lo
      out.bytes = Math.min(length, 0x4000_0000 - (lo & 0x3fff_ffff))
      out.snooped = true
      return 0
    }
    const reason = this.#walk.walk(window, request)
    if (reason !== 0) return this.#refuse(request, reason, pe)
    const of = this.#windowWords
    const at = window << 3
    const [inPageLo, inPageHi] = [of[at] as number, of[at + 1] as number]
    const { tceHi, tceLo } = this.#walk
    const owner = this.#owners[window] as number
    const inPart = (1 << owner) - 1
    const offset = lo & inPart
    // Of a page larger than an entry can stand for, the part around the address.
    const partLo = (tceLo & ~inPageLo) | (lo & inPageLo & ~inPart)
    const partHi = (tceHi & 0xf_ffff & ~inPageHi) | (hi & inPageHi)
    this.cache.put(hi, lo, owner, partHi, partLo | (tceLo & TCE.BOTH))
    const left = inPart + 1 - offset
    out.target = 1 // TARGET.MEMORY
    out.hpaLo = partLo | offset
    out.hpaHi = partHi
    out.bytes = length < left ? length : left
    out.snooped = true
    return 0
  }

  /** Drops a request; the first one of an endpoint freezes it. What a frozen endpoint sends vanishes without a trace. */
  #refuse(request: DmaRequest, reason: number, pe: number = NONE): Status {
    if (reason === REASON.FROZEN) return reason
    const { requester } = request
    const error: PhbError = { pe, requester, iova: request.iova, write: (request.access & 2) !== 0, reason }
    this.errors.push(error)
    if (this.errors.length > ERRORS_KEPT) this.errors.shift()
    this.onError?.(error)
    const endpoint = this.#endpointOf[requester & 0xffff] as number
    if (!this.#qemu && endpoint !== NONE) this.setFrozen(endpoint, FREEZE.ALL)
    return reason
  }
  #reopen(first: Bdf = 0, last: Bdf = 0xffff): void {
    const open = this.#open
    for (let id = first; id <= last; id++) {
      const pe = this.#endpointOf[id] as number
      open[id] = pe === NONE || ((this.#frozen[pe] as number) & FREEZE.DMA) !== 0 ? -1 : pe
    }
  }
}
