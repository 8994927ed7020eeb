/** The contract of IOMMU silicon. */
import type { Bdf } from '../address.ts'
import type { Claim } from '../audit.ts'
import type { MmioWindow } from '../memory/backing.ts'
import { type Token, tokens } from '../plugin/token.ts'
import type { InterruptMessage, MsiMessage } from './interrupt.ts'
import type { DmaRequest, Status } from './request.ts'

/**
 * One piece of IOMMU hardware. It is programmed through registers, queues in memory or firmware calls, never through this
 * interface, and it shares no code with its driver. A refused translation is a value, never an exception.
 */
export interface IommuUnit {
  /** Unique in the host, e.g. `dmar0`. */
  readonly name: string
  /** Whether requests of this function come to this unit. Asked when a port is bound, not per request. */
  covers(segment: number, requester: Bdf): boolean
  /**
   * Translates `request`, filling `request.out`.
   * @returns `DMA.OK`, `DMA.PENDING`, or the fault reason, which then stands in the unit's log already. No allocation.
   */
  translate(request: DmaRequest): Status
  /** The unit's registers, where it has any; the plug-in places them in physical memory. */
  readonly mmio?: MmioWindow
  /** Interrupt messages pass through the unit. Absent: they reach the host as they are. */
  readonly msi?: {
    /** Where functions behind this unit are to send their messages; absent: 0xfee00000, as on x86. */
    readonly address?: bigint
    /** @returns the interrupt that leaves the unit; undefined when it was blocked, with the fault in the unit's log */
    remap(message: MsiMessage, requester: Bdf): InterruptMessage | undefined
  }
  /** Address Translation Services: a device asks for a translation and caches it. */
  readonly ats?: AtsPort
  /** Page Request Interface. */
  readonly pri?: PriPort
  /** What a translation of `request` reads and why it ends as it does; changes no cache, logs no fault. */
  explain?(request: DmaRequest): Explanation
  /** The unit's fault reason in words, as its specification names it. */
  reasonText(status: Status): string
  /** What the audit is to know: cached translations, outstanding commands. */
  inspect(): readonly Claim[]
}
/** The units of this host. */
export const IommuUnit: Token<IommuUnit> = tokens('IommuUnit')

/** What a translation request was answered, PCI Express Base Specification "Translation Completion". The caller owns and reuses it. */
export class AtsGrant {
  /** `ur`: the function may not use ATS; `ca`: a table could not be read. Both end without a translation. */
  status: 'success' | 'ur' | 'ca' = 'ur'
  /** Permissions; with neither, nothing is translated and the device may send a page request. */
  read = false
  write = false
  /** N: accesses with this translation must not use No Snoop. */
  snooped = false
  /** U: the range may be reached by untranslated requests only. */
  untranslatedOnly = false
  /** First address of the translated range, and log2 of its bytes. */
  hpaHi = 0
  hpaLo = 0
  shift = 12
}

/** The unit's side of ATS. */
export interface AtsPort {
  /**
   * A translation request for the page of `request.iova`; `request.access` without WRITE is one with No Write.
   * @param grant the answer
   * @returns `DMA.OK` when the completion is a successful one, which may grant less than asked; or the fault reason
   */
  translate(request: DmaRequest, grant: AtsGrant): Status
  /** The device's own cache, told when the driver invalidates. A device that never answers makes the command time out. */
  connect(requester: Bdf, cache: DeviceTlb): void
}

/** A device's translation cache. */
export interface DeviceTlb {
  /** @param done the device calls it when no request with the old translation is outstanding */
  invalidate(pasid: number, first: bigint, last: bigint, done: () => void): void
}

/** The unit's side of PRI. */
export interface PriPort {
  /**
   * Takes a page request message. Once the driver answers the group, `respond` of its last request is called.
   * @returns false when the unit answered itself, with Response Failure: its queue is full or off, or the function may not ask
   */
  request(request: PageRequest): boolean
}

/** A page request message, PCIe Base Specification "Page Request Message". */
export interface PageRequest {
  readonly requester: Bdf
  readonly pasid: number
  readonly iova: bigint
  readonly read: boolean
  readonly write: boolean
  readonly exec: boolean
  readonly priv: boolean
  /** The permission bits as they are handed on, where they are not the four above: read 1, write 2, exec 4, priv 8. */
  readonly perm?: number
  /** The last request of its group: only this one is answered. */
  readonly last: boolean
  /** Page request group index, 9 bits. */
  readonly group: number
  /** Called once the driver has answered the group. */
  respond(code: 'success' | 'invalid' | 'failure'): void
}

/** One table entry on the way of a translation, for people. */
export interface ExplainedEntry {
  /** `root entry`, `context entry`, `SS-PDE`: the specification's name. */
  readonly name: string
  /** Where it lies. */
  readonly hpa: number
  /** Index within its table, where it has one. */
  readonly index?: number
  /** The entry's words, lowest first. */
  readonly words: readonly bigint[]
  /** Memory holds each word's bytes in reverse: highest first. Default: lowest first. */
  readonly bigEndian?: boolean
  /** Fields by their specification's mnemonics. */
  readonly fields: readonly { readonly name: string; readonly value: string; readonly meaning?: string }[]
  /** What follows from it, in a sentence. */
  readonly verdict: string
}

/** A translation told entry by entry. */
export interface Explanation {
  readonly unit: string
  readonly entries: readonly ExplainedEntry[]
  /** How it ends: the fault reason (0: translated). */
  readonly status: Status
  readonly hpa?: number
  /** Bytes of the leaf that translated it. */
  readonly pageBytes?: number
  /** The end in a sentence: where the access goes, or why it stopped. */
  readonly verdict: string
}
