/** Pinning: pages that a device may reach stay where they are until they are unpinned, whatever the process does. */
import { UapiError } from '../errno.ts'
import type { Hpa } from '../address.ts'
import type { PageRuns } from '../memory/page-runs.ts'
import type { Frames } from './frames.ts'
import { NO_PAGE, type PageObject } from './page-object.ts'

/** A list of runs that grows; neighbours are merged. It may be reused after `clear`. */
export class PageRunList implements PageRuns {
  count = 0
  hpa: Float64Array
  bytes: Float64Array

  /** @param capacity runs before the arrays grow */
  constructor(capacity = 16) {
    this.hpa = new Float64Array(capacity)
    this.bytes = new Float64Array(capacity)
  }
  /** Appends a run, merging it with the last one when it goes on there. */
  append(hpa: Hpa, bytes: number): void {
    const last = this.count - 1
    if (last >= 0 && (this.hpa[last] as number) + (this.bytes[last] as number) === hpa) {
      this.bytes[last] = (this.bytes[last] as number) + bytes
      return
    }
    if (this.count === this.hpa.length) {
      this.hpa = grown(this.hpa)
      this.bytes = grown(this.bytes)
    }
    this.hpa[this.count] = hpa
    this.bytes[this.count] = bytes
    this.count++
  }
  clear(): void {
    this.count = 0
  }
  /** The runs, in arrays of just that length. */
  copy(): PageRuns {
    const { count } = this
    return { count, hpa: this.hpa.slice(0, count), bytes: this.bytes.slice(0, count) }
  }
  /** Bytes of all runs. */
  get total(): number {
    let total = 0
    for (let i = 0; i < this.count; i++) total += this.bytes[i] as number
    return total
  }
}

/**
 * Pins pages of an object, as memfd_pin_folios() and pin_user_pages(FOLL_LONGTERM) do.
 * @param into the pages are appended here
 * @returns pages pinned: fewer than asked when a later one cannot be had, at least 1
 * @throws UapiError EFAULT or ENOMEM when not even the first one can
 */
export function pinPages(frames: Frames, object: PageObject, first: number, count: number, into: PageRunList): number {
  if (!object.pinnable) throw new UapiError('EFAULT', 'pin', { object: object.name })
  for (let done = 0; done < count; done++) {
    if (frames.failures.fails('pin', 'pin')) {
      if (done > 0) return done
      throw new UapiError('ENOMEM', 'pin', { object: object.name, injected: 'pin' })
    }
    const hpa = faultForPin(object, first + done, done > 0)
    if (hpa === NO_PAGE) return done
    frames.pin(hpa)
    into.append(hpa, frames.pageBytes)
  }
  return count
}

/** Lets every page of the runs go; pages that nobody shows any more are freed. */
export function unpinPages(frames: Frames, runs: PageRuns): void {
  for (let i = 0; i < runs.count; i++) frames.unpin(runs.hpa[i] as number, runs.bytes[i] as number)
}

function faultForPin(object: PageObject, index: number, some: boolean): Hpa {
  try {
    const hpa = object.fault(index)
    if (hpa !== NO_PAGE || some) return hpa
  } catch (error) {
    if (some && error instanceof UapiError) return NO_PAGE
    throw error
  }
  throw new UapiError('EFAULT', 'pin', { object: object.name, index })
}

function grown(array: Float64Array): Float64Array {
  const larger = new Float64Array(array.length * 2)
  larger.set(array)
  return larger
}
