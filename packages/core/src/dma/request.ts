/** One memory request as it arrives at an IOMMU, and the answer it leaves. Ports reuse theirs: nothing here is allocated per access. */
import { type Bdf, hpaOf, join, NO_PASID, type Pasid } from '../address.ts'

/** What a request wants to do. `ATOMIC` needs both permissions. */
export const ACCESS = { READ: 1, WRITE: 2, ATOMIC: 3 } as const
/** One of `ACCESS`. */
export type Access = (typeof ACCESS)[keyof typeof ACCESS]

/** Where a translated request goes. */
export const TARGET = {
  /** To the address in `hpaHi`, `hpaLo`: RAM, or registers where a window answers. */
  MEMORY: 1,
  /** It is an interrupt message: it passes the page tables by. */
  INTERRUPT: 2,
} as const
/** One of `TARGET`. */
export type Target = (typeof TARGET)[keyof typeof TARGET]

/** How an access ended. A positive number is the unit's own fault reason, already in the unit's log. */
export const DMA = {
  OK: 0,
  /** A page request is outstanding: the device tries again when it is answered. */
  PENDING: -1,
  /** Nothing answers at the translated address (master abort). */
  NO_TARGET: -2,
  /** Peers answered DMA with DMA more than `DMA_DEPTH` deep. */
  TOO_DEEP: -3,
  /** The function may not master the bus: COMMAND.BusMaster is 0, or it is not there any more. */
  DISABLED: -4,
  /** The unit granted a device with ATS no translation, and the device may not ask for the page, or asked in vain. */
  NO_TRANSLATION: -5,
} as const
/** `DMA.OK`, a negative `DMA` value, or a positive fault reason of the unit. */
export type Status = number

/** A request in progress. The unit reads the upper part and writes `out`. */
export class DmaRequest {
  /** Who asks, as the unit sees it: behind a PCIe-to-PCI bridge the bridge's alias. */
  requester: Bdf
  pasid: Pasid = NO_PASID
  iovaHi = 0
  iovaLo = 0
  /** Bytes wanted from `iova` on; at least 1. */
  length = 0
  access: Access = ACCESS.READ
  /** Execute requested, Privileged mode requested: bits of the PASID prefix. */
  exec = false
  priv = false
  /** The No Snoop attribute of the request. */
  noSnoop = false
  /** The address was translated before, by ATS. */
  translated = false
  readonly out: Translation = new Translation()

  constructor(requester: Bdf) {
    this.requester = requester
  }

  /** The iova as one value, for messages. */
  get iova(): bigint {
    return join(this.iovaHi, this.iovaLo)
  }
}

/** What `translate` found; valid only after it returned `DMA.OK`, until the next request. */
export class Translation {
  target: Target = TARGET.MEMORY
  hpaHi = 0
  hpaLo = 0
  /** Bytes from the iova on that this translation covers; at most the request's `length`. */
  bytes = 0
  /** The access is snooped by the CPUs' caches: it was not No Snoop, or the unit overrides that. */
  snooped = true

  /** The target as one number, for messages. */
  get hpa(): number {
    return hpaOf(this.hpaHi, this.hpaLo)
  }
}
