/** What each package tells the audit about its state: claims, compared with what the tables in memory say. */
import type { Bdf, IovaRange } from './address.ts'
import { type Token, tokens } from './plugin/token.ts'

/**
 * One statement about the host. The audit (in testkit) collects all and proves that they agree: what a unit caches must be
 * what the tables say or be announced as stale, what the tables say must be kept by a source, counts must balance.
 */
export type Claim =
  /** A unit holds this translation in a cache. */
  | {
      readonly kind: 'cached'
      readonly unit: string
      /** Domain id the entry is tagged with. */
      readonly tag: number
      /** It is of this PASID's tables as well; absent: of the tables for requests without one. */
      readonly pasid?: number
      readonly iova: bigint
      readonly bytes: bigint
      readonly hpa: number
      readonly write: boolean
    }
  /** An invalidation that the unit was sent and has not completed: translations in this range may be older than the tables. */
  | {
      readonly kind: 'stale'
      readonly unit: string
      /** Domain id it is for; absent: all. */
      readonly tag?: number
      readonly iova: bigint
      readonly bytes: bigint
    }
  /** A driver's domain maps this; read from its tables by the driver's own slow reader. */
  | {
      readonly kind: 'mapped'
      readonly domain: object
      /** Empty, with tag -1, while the domain is on no unit. */
      readonly unit: string
      readonly tag: number
      readonly pasid?: number
      readonly iova: bigint
      readonly bytes: bigint
      readonly hpa: number
      readonly write: boolean
    }
  /** A domain is attached for a requester; `blocked` and identity have no tables. */
  | {
      readonly kind: 'attached'
      readonly unit: string
      readonly segment: number
      readonly requester: Bdf
      readonly domain: object
      readonly type: 'paging' | 'identity' | 'blocked'
      readonly tag: number
    }
  /** A source keeps these host pages: a pin, a dma-buf, a reserved region, a BAR. */
  | {
      readonly kind: 'kept'
      readonly domain: object
      readonly source: 'pin' | 'dma-buf' | 'reserved' | 'registered' | 'bar'
      readonly hpa: number
      readonly bytes: bigint
    }
  /** A count that must be `expected` at rest: table pages, pins, timers, queue entries. */
  | { readonly kind: 'count'; readonly what: string; readonly actual: number; readonly expected: number }
  /** Something that Linux loses track of, and this host as well, since programs see it. Listed, and not a contradiction. */
  | {
      readonly kind: 'leak'
      readonly what: string
      /** Where the kernel forgets it: file and function. */
      readonly source: string
    }

/** Offers claims when asked; a package provides one for each part that holds state. */
export interface AuditSource {
  readonly name: string
  /** @param near only translations that touch this range are of interest; a source may give more */
  claims(near?: IovaRange): readonly Claim[]
}
/** The parts of this host that the audit asks. */
export const AuditSource: Token<AuditSource> = tokens('AuditSource')
