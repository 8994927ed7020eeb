/**
 * Whether a VM has devices whose DMA its guest may see incoherently (arch/x86/kvm/x86.c kvm_arch_register_noncoherent_dma):
 * only then does the guest's WBINVD reach the host.
 */
import type { Trace } from '@ioasis/core'

/** The counter of one VM. */
export class NoncoherentCount {
  readonly #trace: Trace
  #count = 0

  constructor(trace: Trace) {
    this.#trace = trace
  }
  /** Devices that registered. */
  get registered(): number {
    return this.#count
  }
  register(): void {
    this.#count++
    this.#trace.emit('noncoherent', { registered: true })
  }
  /** @throws Error when nothing is registered */
  unregister(): void {
    if (this.#count === 0) throw new Error('non-coherent DMA is unregistered more often than registered')
    this.#count--
    this.#trace.emit('noncoherent', { registered: false })
  }
}
