/** Virtual time: nothing sleeps. Devices and timers run when somebody advances the clock. */
import { type Token, token } from './plugin/token.ts'

/** Cancels a timer; harmless when it has fired. */
export type CancelTimer = () => void

/** The host's time, in milliseconds since the host was made. */
export interface Clock {
  /** Milliseconds; only `advance` changes it. */
  now(): number
  /** Runs `action` when the time reaches `at` (or at the next `advance`, when that has passed). */
  at(at: number, action: () => void): CancelTimer
  /** Lets `ms` milliseconds pass, running what falls due in order; actions may set timers that fall due as well. @throws RangeError for less than 0 */
  advance(ms: number): void
}

/** The clock of this host. */
export const Clock: Token<Clock> = token('Clock')

interface Timer {
  readonly at: number
  readonly action: () => void
}

/** The only implementation: a sorted list of timers. */
export class VirtualClock implements Clock {
  #now = 0
  readonly #timers: Timer[] = []

  now(): number {
    return this.#now
  }

  at(at: number, action: () => void): CancelTimer {
    const timer = { at, action }
    const behind = this.#timers.findIndex((t) => t.at > at)
    this.#timers.splice(behind < 0 ? this.#timers.length : behind, 0, timer)
    return () => {
      const i = this.#timers.indexOf(timer)
      if (i >= 0) this.#timers.splice(i, 1)
    }
  }

  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`clock: cannot advance by ${ms} ms`)
    const until = this.#now + ms
    for (let next = this.#timers[0]; next && next.at <= until; next = this.#timers[0]) {
      this.#timers.shift()
      this.#now = Math.max(this.#now, next.at)
      next.action()
    }
    this.#now = until
  }

  /** Timers still waiting: an audit counter. */
  get pending(): number {
    return this.#timers.length
  }
}
