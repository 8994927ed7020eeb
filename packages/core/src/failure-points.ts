/**
 * Places where a kernel may find no memory for something, or cannot reach its user: an object, a number, a table, a page to
 * pin, a slot of a queue, a struct on its way back. They work unless a test makes one fail (fail-nth of Linux,
 * lib/fault-inject.c should_fail_ex). While nobody does, a point costs one comparison.
 */
import { UapiError } from './errno.ts'
import { type Token, token } from './plugin/token.ts'

/**
 * What fails: an `object` or a number for it, pages for a `table`, a `pin` on a page of user memory, a `descriptor`, a place in
 * a `queue`, a `copy-out` to user memory.
 */
export type FailureKind = 'object' | 'table' | 'pin' | 'descriptor' | 'queue' | 'copy-out'
/** All kinds. */
export const FAILURE_KINDS: readonly FailureKind[] = Object.freeze([
  'object',
  'table',
  'pin',
  'descriptor',
  'queue',
  'copy-out',
])

/** A point that failed. */
export interface FailedPoint {
  readonly kind: FailureKind
  /** Whose it is, for messages. */
  readonly what: string
}

/** The points of one host. */
export class FailurePoints {
  /** Somebody counts, or waits for one to fail. Points read it first. */
  armed = false
  /** Points passed while armed, those that failed included. */
  readonly passed: Map<FailureKind, number> = new Map()
  #left = 0
  #kinds: ReadonlySet<FailureKind> | undefined
  #failed: FailedPoint | undefined

  /** The point that failed since `arm`. */
  get failed(): FailedPoint | undefined {
    return this.#failed
  }
  /**
   * From now on points are counted, and one fails.
   * @param nth which of them, from 1; Infinity: none, they are only counted
   * @param kinds which count; default: all
   */
  arm(nth: number, kinds?: readonly FailureKind[]): void {
    this.armed = true
    this.#left = nth
    this.#kinds = kinds && new Set(kinds)
    this.#failed = undefined
    this.passed.clear()
  }
  /** Nothing fails any more. @returns the point that did */
  disarm(): FailedPoint | undefined {
    this.armed = false
    return this.#failed
  }

  /** Passes a point. @param what for the message @throws UapiError ENOMEM when it is this one's turn */
  pass(what: string, kind: FailureKind = 'object'): void {
    if (this.armed && this.#fails(what, kind)) throw new UapiError('ENOMEM', what, { injected: kind })
  }
  /** Passes a point that is refused in its own way. @returns whether it is this one's turn to fail */
  fails(what: string, kind: FailureKind): boolean {
    return this.armed && this.#fails(what, kind)
  }

  #fails(what: string, kind: FailureKind): boolean {
    if (this.#kinds && !this.#kinds.has(kind)) return false
    this.passed.set(kind, (this.passed.get(kind) ?? 0) + 1)
    // A page that cannot be pinned cannot be had at the next try either: who pins takes what he gets and asks again.
    if (this.#failed) return kind === 'pin' && this.#failed.kind === 'pin'
    if (--this.#left !== 0) return false
    this.#failed = { kind, what }
    return true
  }
}
/** The points of this host: the machine brings them. */
export const Failures: Token<FailurePoints> = token('Failures')
