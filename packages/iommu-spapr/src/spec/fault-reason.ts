/** Why a bridge drops a request. The bridge latches one error per endpoint and freezes it; the numbers are this package's own. */

/** Reasons. */
export const REASON = {
  /** No endpoint has the requester. */
  NO_ENDPOINT: 1,
  /** The endpoint is frozen. */
  FROZEN: 2,
  /** The window's TVE is not valid: no window is there. */
  NO_WINDOW: 3,
  /** Beyond the window's last page. */
  BEYOND_WINDOW: 4,
  /** Bits 63:60 name no space. */
  ADDRESS_SPACE: 5,
  /** A higher level's entry is absent. */
  NO_TABLE: 6,
  /** The entry is absent: neither bit is set. */
  NOT_PRESENT: 7,
  /** The entry forbids reading, or writing. */
  READ: 8,
  WRITE: 9,
  /** No memory answers where a table should be. */
  TABLE_UNREADABLE: 10,
  /** Not a plain request: with a PASID, or translated before. */
  KIND: 11,
} as const

const TEXTS: Readonly<Record<number, string>> = {
  [REASON.NO_ENDPOINT]: 'no partitionable endpoint has this requester',
  [REASON.FROZEN]: 'the endpoint is frozen',
  [REASON.NO_WINDOW]: 'there is no window at this address',
  [REASON.BEYOND_WINDOW]: 'the address lies beyond the end of its window',
  [REASON.ADDRESS_SPACE]: 'bits 63:60 of the address name no address space',
  [REASON.NO_TABLE]: 'a higher level of the TCE table has no entry for the address',
  [REASON.NOT_PRESENT]: 'the TCE is not present',
  [REASON.READ]: 'the TCE does not allow reading',
  [REASON.WRITE]: 'the TCE does not allow writing',
  [REASON.TABLE_UNREADABLE]: 'no memory answers where the TCE table should be',
  [REASON.KIND]: 'the bridge takes neither requests with a PASID nor translated ones',
}

/** A reason in words. */
export const reasonText = (status: number): string => TEXTS[status] ?? `reason ${status}`
