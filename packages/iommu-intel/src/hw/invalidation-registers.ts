/** Invalidation by register: CCMD, IVA and IOTLB; Intel VT-d r4.1 "Register-based Invalidation Interface". */
import { bitsOf, get, HALVES, put } from '@ioasis/core'
import { CCMD, GCMD, GRANULARITY, IOTLB, IVA } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'
import type { VtdRegisters } from './registers.ts'
import type { TranslationCaches } from './translation-caches.ts'

const ICC = bitsOf(CCMD.ICC)
const IVT = bitsOf(IOTLB.IVT)

/** How the register commands of a unit behave. */
export interface RegisterInvalidationOptions {
  /** Commands stay outstanding until `complete`. */
  readonly lag: boolean
  /** With the queue enabled a command hangs for ever (QEMU); else it is refused with granularity 0. */
  readonly hangsWithQueue: boolean
}

/**
 * The two command registers. A command runs when its ICC or IVT bit is written; the unit then clears the bit and leaves the
 * granularity it used, 0 for a command it refused. A domain-selective context command is done globally, and says so; the
 * queue's does exactly what it names. Draining has nothing to wait for here: requests are never in flight between calls.
 */
export class RegisterInvalidation {
  readonly #registers: VtdRegisters
  readonly #caps: Capabilities
  readonly #caches: TranslationCaches
  readonly #options: RegisterInvalidationOptions

  constructor(
    registers: VtdRegisters,
    caps: Capabilities,
    caches: TranslationCaches,
    options: RegisterInvalidationOptions,
  ) {
    this.#registers = registers
    this.#caps = caps
    this.#caches = caches
    this.#options = options
    const start = (_lo: number, _hi: number, halves: number): void => {
      if (halves & HALVES.HIGH && !options.lag) this.complete()
    }
    registers.onWrite('CCMD', start)
    registers.onWrite('IOTLB', start)
  }

  /** Finishes what is outstanding. */
  complete(): void {
    const queueOn = (this.#registers.lo('GSTS') & GCMD.QIE) !== 0
    if (queueOn && this.#options.hangsWithQueue) return
    if (this.#registers.hi('CCMD') & ICC) this.#finishContext(queueOn)
    if (this.#registers.hi('IOTLB') & IVT) this.#finishIotlb(queueOn)
  }

  #finishContext(refuse: boolean): void {
    const lo = this.#registers.lo('CCMD')
    const hi = this.#registers.hi('CCMD')
    const done = refuse ? GRANULARITY.RESERVED : this.#context(get(CCMD.CIRG, lo, hi), lo, hi)
    this.#registers.set('CCMD', lo, put(CCMD.CAIG, hi & ~ICC, done))
  }
  #context(granularity: number, lo: number, hi: number): number {
    const { contexts } = this.#caches
    if (granularity === GRANULARITY.SELECTIVE) {
      contexts.dropDevice(get(CCMD.SID, lo, hi), get(CCMD.FM, lo, hi))
      return GRANULARITY.SELECTIVE
    }
    if (granularity === GRANULARITY.RESERVED) return GRANULARITY.RESERVED
    contexts.dropAll()
    return GRANULARITY.GLOBAL
  }

  #finishIotlb(refuse: boolean): void {
    const lo = this.#registers.lo('IOTLB')
    const hi = this.#registers.hi('IOTLB')
    const done = refuse ? GRANULARITY.RESERVED : this.#iotlb(get(IOTLB.IIRG, lo, hi), get(IOTLB.DID, lo, hi))
    this.#registers.set('IOTLB', lo, put(IOTLB.IAIG, hi & ~IVT, done))
  }
  #iotlb(granularity: number, domain: number): number {
    const caches = this.#caches
    if (granularity === GRANULARITY.SELECTIVE && this.#caps.pageSelective) {
      const lo = this.#registers.lo('IVA')
      const hi = this.#registers.hi('IVA')
      const mask = get(IVA.AM, lo, hi)
      if (mask > this.#caps.maxMask) return GRANULARITY.RESERVED
      caches.iotlb.dropPages(domain, hi, lo & ~0xfff, mask)
      return GRANULARITY.SELECTIVE
    }
    if (granularity === GRANULARITY.RESERVED) return GRANULARITY.RESERVED
    if (granularity === GRANULARITY.GLOBAL) {
      caches.dropIotlb()
      return GRANULARITY.GLOBAL
    }
    caches.dropIotlbDomain(domain)
    return GRANULARITY.DOMAIN
  }
}
