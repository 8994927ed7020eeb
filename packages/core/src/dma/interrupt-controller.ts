/** The interrupt sink of a host: vectors pending at the CPUs, their handlers, and the lines of functions without MSI. */
import type { Bdf } from '../address.ts'
import type { Trace } from '../trace.ts'
import type { InterruptMessage, Interrupts } from './interrupt.ts'

/** Vectors below belong to exceptions, and 0x20 to the clock (arch/x86/kernel/apic/vector.c); 0xff is the spurious vector. */
const FIRST_FREE = 0x21
const LAST_FREE = 0xfe

interface Line {
  readonly segment: number
  readonly bdf: Bdf
  readonly pin: 1 | 2 | 3 | 4
}
type Action = (message: InterruptMessage) => void

/** Made once per host. */
export class InterruptController implements Interrupts {
  /** The lists are replaced, never changed: a handler may come or go while one is walked. */
  readonly #handlers = new Map<number, readonly Action[]>()
  readonly #pending = new Set<number>()
  readonly #allocated = new Set<number>()
  readonly #lines = new Map<number, number>()
  readonly #watchers = new Map<number, readonly (() => void)[]>()
  readonly #trace: Trace | undefined

  /** @param trace told of each delivery */
  constructor(trace?: Trace) {
    this.#trace = trace
  }

  deliver(message: InterruptMessage): void {
    const { vector, dest } = message
    if (this.#trace?.wants('interrupt')) this.#trace.emit('interrupt', { vector, dest })
    const handlers = this.#handlers.get(vector)
    if (!handlers) this.#pending.add(vector)
    else for (const action of handlers) action(message)
  }

  /** A vector that waited before anybody handled it stays pending. */
  handle(vector: number, action: Action): () => void {
    // An action of its own: the same function may handle a vector twice.
    const own: Action = (message) => action(message)
    this.#handlers.set(vector, [...(this.#handlers.get(vector) ?? []), own])
    return () => {
      const left = this.#handlers.get(vector)?.filter((other) => other !== own) ?? []
      if (left.length > 0) this.#handlers.set(vector, left)
      else this.#handlers.delete(vector)
    }
  }

  allocate(): number {
    for (let vector = FIRST_FREE; vector <= LAST_FREE; vector++) {
      if (this.#allocated.has(vector)) continue
      this.#allocated.add(vector)
      return vector
    }
    throw new RangeError(
      `interrupts: no vector is free from 0x${FIRST_FREE.toString(16)} to 0x${LAST_FREE.toString(16)}`,
    )
  }
  /** Gives a vector back; what was pending on it is dropped, so that its next owner starts clean. */
  free(vector: number): void {
    this.#allocated.delete(vector)
    this.#pending.delete(vector)
  }
  /** Vectors taken and not given back: an audit counter. */
  get allocated(): number {
    return this.#allocated.size
  }
  get pending(): readonly number[] {
    return [...this.#pending].toSorted((a, b) => a - b)
  }

  setLine({ segment, bdf, pin }: Line, asserted: boolean): void {
    const key = segment * 0x1_0000 + bdf
    const pins = this.#lines.get(key) ?? 0
    const now = asserted ? pins | (1 << pin) : pins & ~(1 << pin)
    if (now) this.#lines.set(key, now)
    else this.#lines.delete(key)
    if (asserted && !(pins & (1 << pin))) for (const action of this.#watchers.get(key) ?? []) action()
  }
  lineAsserted({ segment, bdf, pin }: Line): boolean {
    return ((this.#lines.get(segment * 0x1_0000 + bdf) ?? 0) & (1 << pin)) !== 0
  }
  watchLine({ segment, bdf }: Omit<Line, 'pin'>, action: () => void): () => void {
    const key = segment * 0x1_0000 + bdf
    const own = (): void => action()
    this.#watchers.set(key, [...(this.#watchers.get(key) ?? []), own])
    return () => {
      const left = this.#watchers.get(key)?.filter((other) => other !== own) ?? []
      if (left.length > 0) this.#watchers.set(key, left)
      else this.#watchers.delete(key)
    }
  }
}
