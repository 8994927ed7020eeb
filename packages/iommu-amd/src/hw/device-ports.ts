/** What the unit keeps of devices with a TLB: whom to tell of invalidations, and which page requests wait for an answer. */
import { type Bdf, type Claim, type DeviceTlb, type PageRequest } from '@ioasis/core'
import { RESPONSE } from '../spec/command.ts'

/** Told of a page response that answers no request the unit knows. */
export type StrayResponse = (
  requester: Bdf,
  pasid: number,
  group: number,
  code: 'success' | 'invalid' | 'failure',
) => void

/** The devices of one unit. */
export class DevicePorts {
  readonly #tlbs = new Map<Bdf, DeviceTlb>()
  /** Last requests of their groups, by function and group. */
  readonly #waiting = new Map<number, PageRequest>()
  readonly #stray: StrayResponse | undefined

  constructor(stray?: StrayResponse) {
    this.#stray = stray
  }

  connect(requester: Bdf, cache: DeviceTlb): void {
    this.#tlbs.set(requester & 0xffff, cache)
  }
  /** Tells a device; one that nobody connected has no TLB and is done at once. */
  invalidate(requester: Bdf, pasid: number, first: bigint, last: bigint, done: () => void): void {
    const tlb = this.#tlbs.get(requester)
    if (tlb) tlb.invalidate(pasid, first, last, done)
    else done()
  }

  /** A page request stands in the log: its group's answer goes to it. */
  wait(request: PageRequest): void {
    if (request.last) this.#waiting.set(keyOf(request.requester, request.group), request)
  }
  /** COMPLETE_PPR_REQUEST. */
  complete(requester: Bdf, pasid: number, group: number, response: number): void {
    const code = response === RESPONSE.SUCCESS ? 'success' : response === RESPONSE.INVALID ? 'invalid' : 'failure'
    const key = keyOf(requester, group)
    const request = this.#waiting.get(key)
    if (!request) {
      this.#stray?.(requester, pasid, group, code)
      return
    }
    this.#waiting.delete(key)
    request.respond(code)
  }
  /** Requests that wait: an audit counter. */
  claims(unit: string): Claim[] {
    return [
      { kind: 'count', what: `${unit}: page requests without an answer`, actual: this.#waiting.size, expected: 0 },
    ]
  }
}

const keyOf = (requester: Bdf, group: number): number => (requester & 0xffff) * 512 + (group & 511)
