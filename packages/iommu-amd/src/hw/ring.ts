/** A log in memory that the unit fills and software empties: the event log and the page request log. */
import { get, type HostMemory } from '@ioasis/core'
import { RING, RING_POINTER_MASK } from '../spec/registers.ts'
import type { AmdRegisters, RegisterName } from './registers.ts'

/** Registers and status bits (int32 masks) of a ring. */
export interface RingNames {
  readonly base: RegisterName
  readonly head: RegisterName
  readonly tail: RegisterName
  readonly overflow: number
  readonly run: number
  readonly interrupt: number
}

/** One ring. It keeps one slot free: a full ring is told from an empty one by that. */
export class LogRing {
  /** Logging is enabled. */
  enabled = false
  readonly #memory: HostMemory
  readonly #registers: AmdRegisters
  readonly #names: RingNames

  constructor(memory: HostMemory, registers: AmdRegisters, names: RingNames) {
    this.#memory = memory
    this.#registers = registers
    this.#names = names
  }

  /** Switches logging; the run bit follows, unless an overflow was not acknowledged. */
  enable(on: boolean): void {
    const { run, overflow } = this.#names
    const status = this.#registers.lo('STATUS')
    if (on && !this.enabled && !(status & overflow)) this.#registers.set('STATUS', status | run)
    else if (!on) this.#registers.set('STATUS', status & ~run)
    this.enabled = on
  }
  /** The ring's base was written. */
  restart(): void {
    this.#registers.set(this.#names.head, 0, 0)
    this.#registers.set(this.#names.tail, 0, 0)
  }
  /** Whether an entry would be taken now. */
  get running(): boolean {
    return this.enabled && (this.#registers.lo('STATUS') & this.#names.run) !== 0
  }

  /**
   * Appends an entry of 16 bytes.
   * @param alwaysTold whether the interrupt status is set, and the overflow, when nobody asked for interrupts
   * @returns `logged`; `lost` when this one did not fit and the ring stands still from now on; `off` when nothing was to be logged
   */
  append(lo0: number, hi0: number, lo1: number, hi1: number, alwaysTold: boolean): 'logged' | 'lost' | 'off' {
    if (!this.running) return 'off'
    const registers = this.#registers
    const { base, head, tail, overflow, run, interrupt } = this.#names
    const baseLo = registers.lo(base)
    const baseHi = registers.hi(base)
    const bytes = 16 << get(RING.LENGTH, baseLo, baseHi)
    const at = registers.lo(tail) & RING_POINTER_MASK & (bytes - 1)
    const next = (at + 16) & (bytes - 1)
    if (next === (registers.lo(head) & RING_POINTER_MASK & (bytes - 1))) {
      if (alwaysTold) registers.set('STATUS', (registers.lo('STATUS') | overflow) & ~run)
      return 'lost'
    }
    const first = (baseLo & ~0xfff) | 0
    const hi = baseHi & 0xf_ffff
    const entry = first + at
    // The ring is aligned to 4 KiB only: a carry into the high word is possible.
    const carry = (first >>> 0) + at > 0xffff_ffff ? 1 : 0
    this.#memory.storeEntry(hi + carry, entry | 0, lo0, hi0, true)
    this.#memory.storeEntry(hi + carry, (entry + 8) | 0, lo1, hi1, true)
    registers.set(tail, next, 0)
    if (alwaysTold) registers.set('STATUS', registers.lo('STATUS') | interrupt)
    return 'logged'
  }
}
