/**
 * A device with Address Translation Services: it asks the unit for translations, keeps them in a cache of its own, and masters the
 * bus with translated addresses. With the Page Request Interface it asks for pages that are not there, and goes on once it is
 * answered. PCI Express Base Specification "Address Translation Services (ATS)", "Page Request Services".
 *
 * Nothing waits on a stack: an access that needs a page ends with `DMA.PENDING`, and the device model, a state machine, tries
 * again when it is told.
 */
import { hiWord, type Iova, join, loWord, NO_PASID, split } from '../address.ts'
import type { DmaPort } from './port.ts'
import { ACCESS, type Access, DMA, DmaRequest, type Status } from './request.ts'
import { type AtsPort, AtsGrant, type DeviceTlb, type IommuUnit, type PriPort } from './unit.ts'

/** What the device can do. */
export interface TranslatedPortOptions {
  /** Translations it keeps; the oldest goes first. Default 64. */
  readonly entries?: number
  /** Page requests that may be open at a time. Default 0: the device has no Page Request Interface. */
  readonly pageRequests?: number
}

/** One translation kept. */
interface Entry {
  readonly pasid: number
  readonly first: bigint
  readonly last: bigint
  readonly hpa: bigint
  readonly read: boolean
  readonly write: boolean
  readonly snooped: boolean
  /** U: the range is reached by untranslated requests. */
  readonly untranslated: boolean
}
/** A page asked for. */
interface OpenRequest {
  readonly pasid: number
  readonly page: bigint
  readonly access: Access
  /** Undefined while nobody answered. */
  answer: 'success' | 'invalid' | 'failure' | undefined
}

/** Groups a device may have open: the index has 9 bits. */
const GROUPS = 512
const PAGE = 4096n

/**
 * A `DmaPort` behind a device's own translation cache. Attributes of the port's `request` (pasid, exec, priv, noSnoop) hold as
 * they do there. A device model that cannot wait gives up on `DMA.PENDING`.
 */
export class TranslatedPort implements DeviceTlb {
  /** Called once a page request was answered, whatever the answer: the device tries again. */
  resumed: (() => void) | undefined
  /** Bytes moved by the last transfer, up to where it ended. */
  transferred = 0
  readonly #port: DmaPort
  readonly #ats: AtsPort
  readonly #pri: PriPort | undefined
  readonly #capacity: number
  readonly #maxRequests: number
  readonly #request: DmaRequest
  readonly #grant = new AtsGrant()
  readonly #entries: Entry[] = []
  /** Requests by group index: open ones, and refused ones that the device has not heard of. */
  readonly #open = new Map<number, OpenRequest>()
  /** Invalidations that the device has not answered. */
  readonly #unanswered: (() => void)[] = []
  #answers = true
  #nextGroup = 0

  /** @throws Error when the unit has no Address Translation Services */
  constructor(port: DmaPort, unit: IommuUnit, { entries = 64, pageRequests = 0 }: TranslatedPortOptions = {}) {
    if (!unit.ats) throw new Error(`ats: ${unit.name} translates nothing for devices`)
    this.#port = port
    this.#ats = unit.ats
    this.#pri = pageRequests > 0 ? unit.pri : undefined
    this.#capacity = entries
    this.#maxRequests = Math.min(pageRequests, GROUPS)
    this.#request = new DmaRequest(port.request.requester)
    unit.ats.connect(port.request.requester, this)
  }

  /** Writes `from` to [iova, iova + length). @returns as `DmaPort.write`, or `DMA.PENDING`, `DMA.NO_TRANSLATION` */
  write(iova: Iova, from: Uint8Array): Status {
    return this.#transfer(ACCESS.WRITE, iova, from)
  }
  /** Reads [iova, iova + length) into `into`. @returns as `write` */
  read(iova: Iova, into: Uint8Array): Status {
    return this.#transfer(ACCESS.READ, iova, into)
  }

  invalidate(pasid: number, first: bigint, last: bigint, done: () => void): void {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i] as Entry
      if (entry.pasid === pasid && entry.first <= last && entry.last >= first) this.#entries.splice(i, 1)
    }
    // No access is under way between two steps of a device model, so nothing has to finish first.
    if (this.#answers) done()
    else this.#unanswered.push(done)
  }
  /** Whether the device answers invalidations. While it does not, commands that wait for it time out; once it does, it catches up. */
  get answers(): boolean {
    return this.#answers
  }
  set answers(answers: boolean) {
    this.#answers = answers
    if (answers) for (const done of this.#unanswered.splice(0)) done()
  }
  /** A function reset: nothing is kept, nothing is asked any more. Answers to earlier requests are ignored. */
  reset(): void {
    this.#entries.length = 0
    this.#open.clear()
    this.answers = true
  }
  /** Translations kept. */
  get size(): number {
    return this.#entries.length
  }
  /** Page requests that nobody answered. */
  get outstanding(): number {
    return [...this.#open.values()].filter((one) => one.answer === undefined).length
  }

  #transfer(access: Access, iova: Iova, bytes: Uint8Array): Status {
    const { request } = this.#port
    const { pasid, noSnoop } = request
    this.transferred = 0
    while (this.transferred < bytes.length) {
      const at = BigInt.asUintN(64, iova + BigInt(this.transferred))
      const entry = this.#find(pasid, at, access) ?? this.#ask(pasid, at, access)
      if (typeof entry === 'number') return entry
      const room = Number(entry.last - at) + 1
      const part = bytes.subarray(this.transferred, this.transferred + Math.min(room, bytes.length - this.transferred))
      request.translated = !entry.untranslated
      if (!entry.untranslated) request.pasid = NO_PASID
      if (entry.snooped) request.noSnoop = false
      const target = entry.untranslated ? at : entry.hpa + (at - entry.first)
      const status = access === ACCESS.WRITE ? this.#port.write(target, part) : this.#port.read(target, part)
      request.translated = false
      request.pasid = pasid
      request.noSnoop = noSnoop
      this.transferred += this.#port.transferred
      if (status !== DMA.OK) return status
    }
    return DMA.OK
  }

  #find(pasid: number, at: bigint, access: Access): Entry | undefined {
    return this.#entries.find((one) => one.pasid === pasid && one.first <= at && one.last >= at && allows(one, access))
  }

  /** Asks for a translation, and where there is none for the page. @returns the translation, or how the access ends */
  #ask(pasid: number, at: bigint, access: Access): Entry | Status {
    const granted = this.#translate(pasid, at, access)
    if (typeof granted === 'number' || allows(granted, access)) return granted
    const status = this.#requestPage(pasid, at, access)
    if (status !== DMA.OK) return status
    // Answered on the spot: the page is there by now, or will never be.
    const again = this.#translate(pasid, at, access)
    return typeof again === 'number' || allows(again, access) ? again : DMA.NO_TRANSLATION
  }
  #translate(pasid: number, at: bigint, access: Access): Entry | Status {
    const request = this.#request
    const grant = this.#grant
    const { exec, priv } = this.#port.request
    split(at & ~(PAGE - 1n))
    request.iovaHi = hiWord()
    request.iovaLo = loWord()
    request.length = Number(PAGE)
    Object.assign(request, { pasid, access, exec, priv })
    const status = this.#ats.translate(request, grant)
    if (status !== DMA.OK) return status
    const bytes = 1n << BigInt(grant.shift)
    const first = (at / bytes) * bytes
    const { read, write, snooped } = grant
    const hpa = join(grant.hpaHi, grant.hpaLo)
    const entry = {
      pasid,
      first,
      last: first + bytes - 1n,
      hpa,
      read,
      write,
      snooped,
      untranslated: grant.untranslatedOnly,
    }
    if (read || write) this.#keep(entry)
    return entry
  }
  /** Keeps a translation in place of what it overlaps. */
  #keep(entry: Entry): void {
    const entries = this.#entries
    for (let i = entries.length - 1; i >= 0; i--) {
      const old = entries[i] as Entry
      if (old.pasid === entry.pasid && old.first <= entry.last && old.last >= entry.first) entries.splice(i, 1)
    }
    if (entries.length >= this.#capacity) entries.shift()
    entries.push(entry)
  }

  /** Sends a page request, or looks for the answer to an earlier one. @returns `DMA.OK` to translate again, or how the access ends */
  #requestPage(pasid: number, at: bigint, access: Access): Status {
    if (!this.#pri) return DMA.NO_TRANSLATION
    const page = at & ~(PAGE - 1n)
    for (const [group, open] of this.#open) {
      if (open.pasid !== pasid || open.page !== page || (open.access & access) !== access) continue
      if (open.answer === undefined) return DMA.PENDING
      this.#open.delete(group)
      return DMA.NO_TRANSLATION
    }
    if (this.outstanding >= this.#maxRequests) return DMA.PENDING
    const group = this.#freeGroup()
    const open: OpenRequest = { pasid, page, access, answer: undefined }
    this.#open.set(group, open)
    this.#send(group, open)
    if (open.answer === undefined) return DMA.PENDING
    this.#open.delete(group)
    return open.answer === 'success' ? DMA.OK : DMA.NO_TRANSLATION
  }
  #send(group: number, open: OpenRequest): void {
    const { requester, exec, priv } = this.#port.request
    const { pasid, page, access } = open
    let sending = true
    this.#pri?.request({
      requester,
      pasid,
      iova: page,
      read: (access & ACCESS.READ) !== 0,
      write: (access & ACCESS.WRITE) !== 0,
      exec,
      priv,
      last: true,
      group,
      respond: (code) => {
        // A reset has forgotten the request.
        if (this.#open.get(group) !== open || open.answer !== undefined) return
        open.answer = code
        // What was refused is remembered until the device tries again.
        if (code === 'success') this.#open.delete(group)
        if (!sending) this.resumed?.()
      },
    })
    sending = false
  }
  #freeGroup(): number {
    while (this.#open.has(this.#nextGroup)) this.#nextGroup = (this.#nextGroup + 1) % GROUPS
    const group = this.#nextGroup
    this.#nextGroup = (group + 1) % GROUPS
    return group
  }
}

const allows = ({ read, write }: Entry, access: Access): boolean =>
  ((access & ACCESS.READ) === 0 || read) && ((access & ACCESS.WRITE) === 0 || write)
