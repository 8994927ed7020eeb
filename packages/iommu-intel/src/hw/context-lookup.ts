/** From requester id to context entry through the root table; Intel VT-d r4.1 "Root Table", "Context Table" (legacy mode). */
import { type Bdf, get, type HostMemory, mask64 } from '@ioasis/core'
import { CONTEXT_HI, CONTEXT_LO, TT } from '../spec/context-entry.ts'
import { REASON } from '../spec/fault-reason.ts'
import { ROOT } from '../spec/root-entry.ts'
import type { Capabilities } from './capabilities.ts'
import { CTX } from './context-cache.ts'

const OK = 0

/** Reads root and context entries. It changes nothing and keeps only its last answer. */
export class ContextLookup {
  /** The entry found, in the words of `ContextCache`. */
  readonly entry: Int32Array = new Int32Array(4)
  /** Fault Processing Disable of the entry read last; false when none was read. */
  faultsDisabled = false
  readonly #memory: HostMemory
  readonly #caps: Capabilities
  /**
   * QEMU lets any address through in pass-through, where the specification checks its width, and records reserved bits of
   * a context entry whatever its FPD says.
   */
  readonly #qemu: boolean
  /** High-word bits of an address that are reserved: from the host address width on. */
  readonly #beyondHost: number
  /** High-word bits of the context entry's high half that no domain id of this unit uses, and those reserved anyway. */
  readonly #reservedHigh: number
  #lo0 = 0
  #hi0 = 0
  #lo1 = 0
  #hi1 = 0

  constructor(memory: HostMemory, caps: Capabilities, qemu: boolean) {
    this.#memory = memory
    this.#caps = caps
    this.#qemu = qemu
    this.#beyondHost = mask64(63, caps.haw)[1]
    const unusedDomainBits = caps.domainBits < 16 ? mask64(23, 8 + caps.domainBits)[0] : 0
    this.#reservedHigh = mask64(31, 24)[0] | mask64(7, 7)[0] | unusedDomainBits
  }

  /**
   * Looks the requester up.
   * @param rootHi root table, high word
   * @param rootLo root table, low word; its low 12 bits are ignored
   * @returns 0 with the answer in `entry`, or a fault reason
   */
  read(rootHi: number, rootLo: number, requester: Bdf): number {
    this.faultsDisabled = false
    const root = this.#readPair(rootHi, (rootLo & ~0xfff) | (((requester >>> 8) & 0xff) << 4))
    if (!root) return REASON.ROOT_UNREADABLE
    if (!get(ROOT.P, this.#lo0, this.#hi0)) return REASON.ROOT_NOT_PRESENT
    if (this.#lo0 & 0xffe || this.#hi0 & this.#beyondHost || this.#lo1 || this.#hi1) return REASON.ROOT_RESERVED
    const context = this.#readPair(this.#hi0, (this.#lo0 & ~0xfff) | ((requester & 0xff) << 4))
    if (!context) return REASON.CONTEXT_UNREADABLE
    return this.#decode()
  }

  #decode(): number {
    const lo = this.#lo0
    const hi = this.#hi0
    this.faultsDisabled = get(CONTEXT_LO.FPD, lo, hi) === 1
    if (!get(CONTEXT_LO.P, lo, hi)) return REASON.CONTEXT_NOT_PRESENT
    if (lo & 0xff0 || hi & this.#beyondHost || this.#lo1 & this.#reservedHigh || this.#hi1) {
      if (this.#qemu) this.faultsDisabled = false
      return REASON.CONTEXT_RESERVED
    }
    const width = get(CONTEXT_HI.AW, this.#lo1, this.#hi1)
    if (width < 1 || width > 3 || ((this.#caps.sagaw >>> width) & 1) === 0) return REASON.CONTEXT_INVALID
    const type = this.#typeFlags(get(CONTEXT_LO.TT, lo, hi))
    if (type < 0) return REASON.CONTEXT_INVALID
    const fpd = this.faultsDisabled ? CTX.FPD : 0
    const domain = get(CONTEXT_HI.DID, this.#lo1, this.#hi1)
    const { entry } = this
    entry[0] = CTX.VALID | fpd | type | ((width + 2) << 4) | (domain << 16)
    entry[1] = lo & ~0xfff
    entry[2] = hi
    const bits = Math.min(30 + 9 * width, this.#caps.mgaw)
    const unchecked = type === CTX.PASS_THROUGH && this.#qemu
    entry[3] = unchecked || bits > 63 ? 0 : bits < 32 ? -1 : mask64(63, bits)[1]
    return OK
  }
  /** @returns flags of `CTX`, or -1 when the unit lacks the type */
  #typeFlags(type: number): number {
    if (type === TT.MULTI_LEVEL) return 0
    if (type === TT.DEVICE_TLB) return this.#caps.deviceTlb ? CTX.DEVICE_TLB : -1
    return type === TT.PASS_THROUGH && this.#caps.passThrough ? CTX.PASS_THROUGH : -1
  }
  #readPair(hi: number, lo: number): boolean {
    const memory = this.#memory
    if (!memory.loadEntry(hi, lo, this.#caps.coherent)) return false
    this.#lo0 = memory.entryLo
    this.#hi0 = memory.entryHi
    if (!memory.loadEntry(hi, lo | 8, this.#caps.coherent)) return false
    this.#lo1 = memory.entryLo
    this.#hi1 = memory.entryHi
    return true
  }
}
