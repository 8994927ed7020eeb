/** System calls during which points of failure count: what the program does between them, it does itself. */
import type { FailureKind, FailurePoints, SystemCalls } from '@ioasis/core'

const CALLS = [
  'open',
  'close',
  'dup',
  'ioctl',
  'read',
  'write',
  'pread',
  'pwrite',
  'poll',
  'mmap',
  'munmap',
  'eventfd',
  'memfd',
] as const

/** Lets points of a host count and fail inside the system calls of one process alone. */
export class ArmedCalls {
  readonly #points: FailurePoints
  #wanted = false

  /** @param calls are changed: each of them arms the points for as long as it runs */
  constructor(calls: SystemCalls, points: FailurePoints) {
    this.#points = points
    for (const name of CALLS) {
      const run = (calls[name] as (...args: unknown[]) => unknown).bind(calls)
      Object.defineProperty(calls, name, { value: (...args: unknown[]) => this.#during(() => run(...args)) })
    }
  }

  /** Runs a step of a program. @param nth the point of its calls that fails, from 1; Infinity: none @param kinds that count */
  run<T>(nth: number, kinds: readonly FailureKind[], step: () => T): T {
    this.#points.arm(nth, kinds)
    this.#points.armed = false
    this.#wanted = true
    try {
      return step()
    } finally {
      this.#wanted = false
    }
  }

  #during<T>(call: () => T): T {
    this.#points.armed = this.#wanted
    try {
      return call()
    } finally {
      this.#points.armed = false
    }
  }
}
