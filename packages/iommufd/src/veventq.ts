/**
 * Events of a virtual IOMMU for user space, read through a file: each a header with its number, and the driver's data. One that
 * does not fit leaves a header without data at the tail, which goes when the next one comes: its number tells the loss then.
 * drivers/iommu/iommufd/eventq.c iommufd_veventq_fops_read, driver.c iommufd_viommu_report_event.
 */
import { type FailurePoints, type HandPiece, POLL, UapiError, WaitQueue } from '@ioasis/core'
import type { IommufdObject } from './object.ts'
import { VEVENT_FLAG, VEVENT_HEADER } from './uapi.ts'
import type { ViommuObject } from './viommu.ts'

interface Vevent {
  readonly sequence: number
  /** Undefined: from this one on events were lost. */
  readonly data: Uint8Array | undefined
}

/** A queue. Its file keeps it from being destroyed, and keeps the context; it keeps its slice. */
export class Veventq implements IommufdObject {
  readonly kind = 'veventq'
  id = 0
  users = 0
  readonly waitQueue: WaitQueue = new WaitQueue()
  readonly viommu: ViommuObject
  readonly #type: number
  readonly #depth: number
  #events: Vevent[] = []
  /** Events among them that have data. */
  #count = 0
  #sequence = 0

  readonly #failures: FailurePoints | undefined

  /** @param depth events it holds at most @param failures where keeping an event may fail */
  constructor(viommu: ViommuObject, type: number, depth: number, failures?: FailurePoints) {
    this.#failures = failures
    this.viommu = viommu
    this.#type = type
    this.#depth = depth
    viommu.users++
    viommu.veventqs.set(type, this)
  }

  get hasWaiting(): boolean {
    return this.#events.length > 0
  }
  /** An event of the driver. @throws UapiError ENOMEM; it is told as lost then */
  report(event: Uint8Array): void {
    try {
      this.#failures?.pass('iommufd event', 'queue')
    } catch (error) {
      this.#append(undefined)
      throw error
    }
    this.#append(this.#count === this.#depth ? undefined : event.slice())
  }
  #append(data: Uint8Array | undefined): void {
    const last = this.#events.at(-1)
    if (last && !last.data) this.#events.pop()
    this.#events.push({ sequence: this.#sequence, data })
    if (data) this.#count++
    this.#sequence = (this.#sequence + 1) & 0x7fff_ffff
    this.waitQueue.wake(POLL.IN)
  }
  /**
   * Hands over events as long as they fit.
   * @param hand takes a header, or the data behind it
   * @returns bytes handed over; 0 when there is none
   * @throws UapiError EINVAL for less than a header; for the first event EINVAL when it does not fit, EFAULT when it cannot be
   * handed over: it stays then
   */
  read(bytes: number, hand: HandPiece): number {
    const { size } = VEVENT_HEADER
    if (bytes < size) throw new UapiError('EINVAL', 'iommufd event read', { bytes })
    let done = 0
    for (let event = this.#events[0]; event; event = this.#events[0]) {
      const { data, sequence } = event
      const needed = size + (data?.length ?? 0)
      if (size > bytes - done) break
      const fits = needed <= bytes - done
      const header = VEVENT_HEADER.make({ flags: data ? 0 : VEVENT_FLAG.LOST_EVENTS, sequence })
      if (!fits || !hand(header) || (data && !hand(data))) {
        if (done === 0) throw new UapiError(fits ? 'EFAULT' : 'EINVAL', 'iommufd event read', { bytes })
        break
      }
      this.#events.shift()
      if (data) this.#count--
      done += needed
    }
    return done
  }
  destroy(): void {
    this.#events = []
    this.viommu.veventqs.delete(this.#type)
    this.viommu.users--
  }
}
