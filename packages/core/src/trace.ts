/** What happens in a host, as typed events. Nobody listening costs one property read. */
import type { Bdf } from './address.ts'
import { type Token, token } from './plugin/token.ts'

/** Every event of a host, by kind. iova, hpa and sizes in bytes. */
export interface TraceEvents {
  map: { readonly domain: object; readonly iova: bigint; readonly bytes: bigint }
  unmap: { readonly domain: object; readonly iova: bigint; readonly bytes: bigint }
  /** A driver sent an invalidation to a unit. */
  flushed: { readonly unit: string; readonly what: string; readonly iova?: bigint; readonly bytes?: bigint }
  /** A unit walked tables: an IOTLB miss. */
  walk: { readonly unit: string; readonly requester: Bdf; readonly iova: bigint; readonly status: number }
  /** A driver read a fault out of its unit's log; `text` is the kernel's own line. */
  fault: {
    readonly unit: string
    readonly requester: Bdf
    readonly iova: bigint
    readonly reason: number
    readonly write: boolean
    readonly text: string
  }
  dma: {
    readonly requester: Bdf
    readonly write: boolean
    readonly iova: bigint
    readonly bytes: number
    readonly status: number
  }
  interrupt: { readonly vector: number; readonly dest: number }
  attach: { readonly group: number; readonly domain: object }
  /** A hypervisor starts or stops counting a non-coherent file for a virtual machine. */
  noncoherent: { readonly registered: boolean }
  /** A vCPU executed WBINVD; `flushed`: the hypervisor flushed the host's CPUs for it. */
  guestWbinvd: { readonly vm: object; readonly flushed: boolean }
  /** A CPU of the host executed WBINVD. */
  wbinvd: { readonly cpu: number }
  /** A driver warned in the kernel's log, which nothing else here writes. `text` without the time: `vfio-pci 0000:00:01.0: …` */
  warned: { readonly text: string }
  reset: { readonly bdf: Bdf; readonly how: string }
  added: { readonly segment: number; readonly bdf: Bdf }
  removed: { readonly segment: number; readonly bdf: Bdf }
}
/** The name of an event. */
export type TraceKind = keyof TraceEvents
type Listener<K extends TraceKind> = (event: TraceEvents[K]) => void

/** The event stream of one host. */
export class Trace {
  readonly #listeners: { [K in TraceKind]?: Listener<K>[] } = {}
  readonly #changed: { [K in TraceKind]?: (wanted: boolean) => void } = {}

  /** Whether anybody listens: ask before making an event. */
  wants(kind: TraceKind): boolean {
    return this.#listeners[kind] !== undefined
  }
  /** Tells a hot path when the first listener comes and the last one goes, so that it need not ask. */
  onChange(kind: TraceKind, changed: (wanted: boolean) => void): void {
    this.#changed[kind] = changed
  }
  /** @returns stops listening */
  on<K extends TraceKind>(kind: K, listener: Listener<K>): () => void {
    const list: Listener<K>[] = this.#listeners[kind] ?? []
    ;(this.#listeners as Record<string, unknown>)[kind] = [...list, listener]
    this.#changed[kind]?.(true)
    return () => {
      const left = this.#listeners[kind]?.filter((l) => l !== listener) ?? []
      if (left.length > 0) (this.#listeners as Record<string, unknown>)[kind] = left
      else {
        delete this.#listeners[kind]
        this.#changed[kind]?.(false)
      }
    }
  }
  emit<K extends TraceKind>(kind: K, event: TraceEvents[K]): void {
    for (const listener of this.#listeners[kind] ?? []) listener(event)
  }
}
/** The event stream of this host. */
export const Tracer: Token<Trace> = token('Tracer')
