/** Page requests handed to user space, read and answered through a file. drivers/iommu/iommufd/eventq.c. */
import { NO_PASID, type PageRequest, POLL, UapiError, WaitQueue } from '@ioasis/core'
import type { IommufdObject } from './object.ts'
import { HWPT_PAGE_RESPONSE, HWPT_PGFAULT, PAGE_RESPONSE, PGFAULT_FLAG, PGFAULT_PERM } from './uapi.ts'

/** A device that asks for pages. */
export interface FaultingDevice {
  /** Its object id. */
  readonly id: number
}

/** Requests that are answered together: the one marked last, and those before it with the same index. */
interface RequestGroup {
  readonly device: FaultingDevice
  readonly requests: readonly PageRequest[]
}

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
  /** Requests whose last one has not come. */
  #partial: { readonly device: FaultingDevice; readonly request: PageRequest }[] = []

  /** A page request of a device. */
  deliver(device: FaultingDevice, request: PageRequest): void {
    if (!request.last) {
      this.#partial.push({ device, request })
      return
    }
    const belongs = (p: { readonly device: FaultingDevice; readonly request: PageRequest }): boolean =>
      p.device === device && p.request.group === request.group && p.request.pasid === request.pasid
    const before = this.#partial.filter(belongs).map((p) => p.request)
    this.#partial = this.#partial.filter((p) => !belongs(p))
    // Linux puts each earlier request in front of the others.
    this.#waiting.push({ device, requests: [...before.toReversed(), request] })
    this.waitQueue.wake(POLL.IN)
  }
  /** Its device is detached: what it waits for is answered as invalid. */
  drop(device: FaultingDevice): void {
    this.#partial = this.#partial.filter((p) => p.device !== device)
    const answered = this.#waiting.filter((group) => group.device === device)
    this.#waiting = this.#waiting.filter((group) => group.device !== device)
    this.#read.forEach((group, cookie) => {
      if (group?.device !== device) return
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
   * Takes whole groups as long as they fit.
   * @returns bytes written, a multiple of 40; 0 when there is none
   * @throws UapiError ESPIPE for a length that holds no whole number of records; EINVAL when the first group does not fit
   */
  read(into: Uint8Array): number {
    const { size } = HWPT_PGFAULT
    if (into.length % size !== 0) throw new UapiError('ESPIPE', 'iommufd fault read', { bytes: into.length })
    let done = 0
    for (let group = this.#waiting[0]; group; group = this.#waiting[0]) {
      if (group.requests.length * size > into.length - done) {
        if (done === 0) throw new UapiError('EINVAL', 'iommufd fault read', { bytes: into.length })
        break
      }
      this.#waiting.shift()
      const cookie = this.#cookieFor(group)
      for (const request of group.requests) {
        HWPT_PGFAULT.encode({ ...describe(request), dev_id: group.device.id, cookie }, into.subarray(done))
        done += size
      }
    }
    return done
  }
  /**
   * Answers groups, one record of 8 bytes for each.
   * @returns bytes taken
   * @throws UapiError ESPIPE as `read`; EINVAL for a code or cookie there is not, when it is the first one
   */
  write(from: Uint8Array): number {
    const { size } = HWPT_PAGE_RESPONSE
    if (from.length % size !== 0) throw new UapiError('ESPIPE', 'iommufd fault write', { bytes: from.length })
    for (let done = 0; done < from.length; done += size) {
      const { cookie, code } = HWPT_PAGE_RESPONSE.decode(from.subarray(done, done + size))
      const group = code === PAGE_RESPONSE.SUCCESS || code === PAGE_RESPONSE.INVALID ? this.#read[cookie] : undefined
      if (!group) {
        if (done > 0) return done
        throw new UapiError('EINVAL', 'iommufd fault write', { cookie, code })
      }
      this.#read[cookie] = undefined
      respond(group, code === PAGE_RESPONSE.SUCCESS ? 'success' : 'invalid')
    }
    return from.length
  }

  #cookieFor(group: RequestGroup): number {
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
  return {
    flags: (pasid === NO_PASID ? 0 : PGFAULT_FLAG.PASID_VALID) | (last ? PGFAULT_FLAG.LAST_PAGE : 0),
    pasid: pasid >>> 0,
    grpid: request.group,
    perm:
      (read ? PGFAULT_PERM.READ : 0) |
      (write ? PGFAULT_PERM.WRITE : 0) |
      (exec ? PGFAULT_PERM.EXEC : 0) |
      (priv ? PGFAULT_PERM.PRIV : 0),
    addr: request.iova,
  }
}
