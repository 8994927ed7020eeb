/** Wait queues and event counters: nothing blocks; who would have to wait gets EAGAIN and is called when it is worth trying again. */
import { UapiError } from './errno.ts'

/** `POLLIN` and friends, include/uapi/asm-generic/poll.h. */
export const POLL = { IN: 0x1, PRI: 0x2, OUT: 0x4, ERR: 0x8, HUP: 0x10, NVAL: 0x20 } as const

/** Called with the bits of `POLL` that became ready. */
export type WakeListener = (events: number) => void

/** Those who wait for something to become ready. */
export class WaitQueue {
  readonly #listeners: WakeListener[] = []

  /** Calls `listener` at each wake-up, in the order they were added. @returns stops it */
  listen(listener: WakeListener): () => void {
    const entry: WakeListener = (events) => listener(events)
    this.#listeners.push(entry)
    return () => {
      const i = this.#listeners.indexOf(entry)
      if (i >= 0) this.#listeners.splice(i, 1)
    }
  }
  /** Calls `listener` at the next wake-up only. @returns stops it */
  once(listener: WakeListener): () => void {
    const stop = this.listen((events) => {
      stop()
      listener(events)
    })
    return stop
  }
  /** Something became ready. Listeners added meanwhile wait for the next time. @param events bits of `POLL` */
  wake(events: number): void {
    const now = this.#listeners.slice()
    for (const listener of now) if (this.#listeners.includes(listener)) listener(events)
  }
  /** Listeners: an audit counter. */
  get waiting(): number {
    return this.#listeners.length
  }
}

const FULL = (1n << 64n) - 1n

/**
 * A file of eventfd(2): a counter that signals. Device interrupts, irqfds and fault queues end here. It has the members of
 * `FileOps` that an eventfd answers, none of which looks at its caller (fs/eventfd.c eventfd_read, eventfd_write, eventfd_poll).
 */
export class EventFd {
  readonly waitQueue: WaitQueue = new WaitQueue()
  readonly #semaphore: boolean
  #count: bigint

  /** @param options `initial` u64; `semaphore`: each read takes one (EFD_SEMAPHORE) */
  constructor(options: { readonly initial?: bigint; readonly semaphore?: boolean } = {}) {
    this.#count = options.initial ?? 0n
    this.#semaphore = options.semaphore ?? false
  }

  /** Signals not read yet. */
  get count(): bigint {
    return this.#count
  }
  /** The kernel's side: adds one, or nothing when the counter is full, and wakes (eventfd_signal). */
  signal(): void {
    if (this.#count < FULL) this.#count++
    this.waitQueue.wake(POLL.IN)
  }
  /** Takes what was signalled without reading: how an irqfd consumes it. @returns the count before */
  take(): bigint {
    const count = this.#count
    this.#count = 0n
    return count
  }
  /**
   * Reads the counter as 8 bytes, and clears it or takes one.
   * @returns 8
   * @throws UapiError EINVAL for a shorter buffer, EAGAIN when nothing was signalled
   */
  read(_caller: unknown, into: Uint8Array): number {
    if (into.length < 8) throw new UapiError('EINVAL', 'eventfd read', { bytes: into.length })
    if (this.#count === 0n) throw new UapiError('EAGAIN', 'eventfd read')
    const value = this.#semaphore ? 1n : this.#count
    this.#count -= value
    new DataView(into.buffer, into.byteOffset, 8).setBigUint64(0, value, true)
    this.waitQueue.wake(POLL.OUT)
    return 8
  }
  /**
   * Adds 8 bytes' worth to the counter.
   * @returns 8
   * @throws UapiError EINVAL for a shorter buffer or 2^64-1, EAGAIN when it does not fit
   */
  write(_caller: unknown, from: Uint8Array): number {
    if (from.length < 8) throw new UapiError('EINVAL', 'eventfd write', { bytes: from.length })
    const value = new DataView(from.buffer, from.byteOffset, 8).getBigUint64(0, true)
    if (value === FULL) throw new UapiError('EINVAL', 'eventfd write', { value })
    if (FULL - this.#count <= value) throw new UapiError('EAGAIN', 'eventfd write', { value, count: this.#count })
    this.#count += value
    this.waitQueue.wake(POLL.IN)
    return 8
  }
  /** Bits of `POLL` that are ready now. */
  poll(): number {
    const room = this.#count < FULL - 1n ? POLL.OUT : 0
    return room | (this.#count > 0n ? POLL.IN : 0) | (this.#count === FULL ? POLL.ERR : 0)
  }
  /** The last descriptor is gone: listeners are told so. Whoever else holds it may still signal. */
  release(): void {
    this.waitQueue.wake(POLL.HUP)
  }
}
