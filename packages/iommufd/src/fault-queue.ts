/** Page requests handed to user space, read and answered through a file. drivers/iommu/iommufd/eventq.c. */
import {
  type FailurePoints,
  type HandPiece,
  NO_PASID,
  type PageRequest,
  POLL,
  type TakePiece,
  UapiError,
  WaitQueue,
} from '@ioasis/core'
import type { IommufdObject } from './object.ts'
import { HWPT_PAGE_RESPONSE, HWPT_PGFAULT, PAGE_RESPONSE, PGFAULT_FLAG, PGFAULT_PERM } from './uapi.ts'

/** Through what requests came: a group's attachment. They are told under the id of the device that made it. */
export interface AttachHandle {
  readonly device: { readonly id: number }
}

/** Requests that are answered together: the one marked last, and those before it with the same index. */
interface RequestGroup {
  readonly handle: AttachHandle
  readonly requests: readonly PageRequest[]
}

type Refusal = 'EINVAL' | 'ENOMEM' | 'EFAULT'

/** A fault queue. Its file keeps it from being destroyed, and keeps the context. */
export class FaultQueue implements IommufdObject {
  readonly kind = 'fault'
  id = 0
  users = 0
  readonly waitQueue: WaitQueue = new WaitQueue()
  /** Groups nobody has read. */
  #waiting: RequestGroup[] = []
  /** Groups read and not answered, by cookie: the lowest free number from 1 on. */
  readonly #read: (RequestGroup | undefined)[] = [undefined]
  readonly #failures: FailurePoints | undefined

  /** @param failures where giving out a cookie may fail */
  constructor(failures?: FailurePoints) {
    this.#failures = failures
  }

  /** A whole group of page requests, the last one last (iommufd_fault_iopf_handler). */
  deliver(handle: AttachHandle, requests: readonly PageRequest[]): void {
    this.#waiting.push({ handle, requests })
    this.waitQueue.wake(POLL.IN)
  }
  /** The attachment ends: what waits for an answer is answered as invalid (iommufd_auto_response_faults). */
  drop(handle: AttachHandle): void {
    const answered = this.#waiting.filter((group) => group.handle === handle)
    this.#waiting = this.#waiting.filter((group) => group.handle !== handle)
    this.#read.forEach((group, cookie) => {
      if (group?.handle !== handle) return
      this.#read[cookie] = undefined
      answered.push(group)
    })
    for (const group of answered) respond(group, 'invalid')
  }
  /** Requests handed over and not answered: an audit counter. */
  get outstanding(): number {
    return this.#waiting.length + this.#read.filter((group) => group).length
  }
  get hasWaiting(): boolean {
    return this.#waiting.length > 0
  }
  destroy(): void {
    for (const group of [...this.#waiting, ...this.#read]) if (group) respond(group, 'invalid')
  }

  /**
   * Hands over whole groups as long as they fit.
   * @param hand takes one record of 40 bytes
   * @returns bytes handed over, a multiple of 40; 0 when there is none
   * @throws UapiError ESPIPE for a length that holds no whole number of records; for the first group EINVAL when it does not fit,
   * ENOMEM, EFAULT when it cannot be handed over: it stays then
   */
  read(bytes: number, hand: HandPiece): number {
    const { size } = HWPT_PGFAULT
    if (bytes % size !== 0) throw new UapiError('ESPIPE', 'iommufd fault read', { bytes })
    let done = 0
    for (let group = this.#waiting[0]; group; group = this.#waiting[0]) {
      const refusal = this.#hand(group, bytes - done, hand)
      if (refusal && done === 0) throw new UapiError(refusal, 'iommufd fault read', { bytes })
      if (refusal) break
      this.#waiting.shift()
      done += group.requests.length * size
    }
    return done
  }
  /**
   * Answers groups, one record of 8 bytes for each.
   * @param take gives the next record
   * @returns bytes taken
   * @throws UapiError ESPIPE as `read`; for the first record EINVAL for a code or cookie there is not, EFAULT when it cannot be read
   */
  write(bytes: number, take: TakePiece): number {
    const { size } = HWPT_PAGE_RESPONSE
    if (bytes % size !== 0) throw new UapiError('ESPIPE', 'iommufd fault write', { bytes })
    for (let done = 0; done < bytes; done += size) {
      const record = take(size)
      const refusal = record ? this.#answer(record) : 'EFAULT'
      if (!refusal) continue
      if (done > 0) return done
      throw new UapiError(refusal, 'iommufd fault write', { bytes })
    }
    return bytes
  }

  #hand(group: RequestGroup, room: number, hand: HandPiece): Refusal | undefined {
    const { size } = HWPT_PGFAULT
    if (group.requests.length * size > room) return 'EINVAL'
    const cookie = this.#cookieFor(group)
    if (cookie === undefined) return 'ENOMEM'
    for (const request of group.requests) {
      const record = HWPT_PGFAULT.make({ ...describe(request), dev_id: group.handle.device.id, cookie })
      if (hand(record)) continue
      this.#read[cookie] = undefined
      return 'EFAULT'
    }
    return undefined
  }
  #answer(record: Uint8Array): Refusal | undefined {
    const { cookie, code } = HWPT_PAGE_RESPONSE.decode(record)
    const group = code === PAGE_RESPONSE.SUCCESS || code === PAGE_RESPONSE.INVALID ? this.#read[cookie] : undefined
    if (!group) return 'EINVAL'
    this.#read[cookie] = undefined
    respond(group, code === PAGE_RESPONSE.SUCCESS ? 'success' : 'invalid')
    return undefined
  }
  /** @returns undefined when there is no memory for it */
  #cookieFor(group: RequestGroup): number | undefined {
    try {
      this.#failures?.pass('iommufd cookie', 'queue')
    } catch (error) {
      if (error instanceof UapiError) return undefined
      throw error
    }
    const free = this.#read.indexOf(undefined, 1)
    const cookie = free < 0 ? this.#read.length : free
    this.#read[cookie] = group
    return cookie
  }
}

/** Only the last request of a group is answered. */
function respond({ requests }: RequestGroup, code: 'success' | 'invalid'): void {
  requests.at(-1)?.respond(code)
}

function describe(request: PageRequest): { flags: number; pasid: number; grpid: number; perm: number; addr: bigint } {
  const { pasid, last, read, write, exec, priv } = request
  const hasPasid = pasid !== NO_PASID
  return {
    flags: (hasPasid ? PGFAULT_FLAG.PASID_VALID : 0) | (last ? PGFAULT_FLAG.LAST_PAGE : 0),
    // Without a prefix the request's PASID field is 0.
    pasid: hasPasid ? pasid >>> 0 : 0,
    grpid: request.group,
    perm:
      request.perm ??
      (read ? PGFAULT_PERM.READ : 0) |
        (write ? PGFAULT_PERM.WRITE : 0) |
        (exec ? PGFAULT_PERM.EXEC : 0) |
        (priv ? PGFAULT_PERM.PRIV : 0),
    addr: request.iova,
  }
}
