/** Kernel probes: how often a function of KVM was entered, counted from what the host tells. */
import { type Host, Tracer } from '@ioasis/core'
import { TraceError } from './trace-file.ts'

const SYMBOLS = [
  'kvm_arch_register_noncoherent_dma',
  'kvm_arch_unregister_noncoherent_dma',
  'kvm_emulate_wbinvd',
  'wbinvd_on_cpus_mask',
] as const
type Symbol = (typeof SYMBOLS)[number]

/** Counters of one host. */
export class Probes {
  readonly #armed = new Map<Symbol, number>()

  constructor(host: Host) {
    const trace = host.get(Tracer)
    const count = (symbol: Symbol): void => {
      const hits = this.#armed.get(symbol)
      if (hits !== undefined) this.#armed.set(symbol, hits + 1)
    }
    trace.on('noncoherent', ({ registered }) => {
      count(registered ? 'kvm_arch_register_noncoherent_dma' : 'kvm_arch_unregister_noncoherent_dma')
    })
    trace.on('guestWbinvd', ({ flushed }) => {
      count('kvm_emulate_wbinvd')
      if (flushed) count('wbinvd_on_cpus_mask')
    })
  }
  /** Counts a function from now on. @throws TraceError for one that nothing tells of */
  arm(name: string): void {
    const symbol = SYMBOLS.find((s) => s === name)
    if (!symbol) throw new TraceError(`nothing tells of ${name}`)
    this.#armed.set(symbol, 0)
  }
  /** Hits since the last time they were asked for, by symbol. */
  take(): Readonly<Record<string, number>> {
    const hits = Object.fromEntries(this.#armed)
    for (const symbol of this.#armed.keys()) this.#armed.set(symbol, 0)
    return hits
  }
  reset(): void {
    this.#armed.clear()
  }
}
