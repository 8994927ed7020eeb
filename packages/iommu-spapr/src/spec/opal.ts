/** Firmware calls of powernv: numbers, arguments, answers. arch/powerpc/include/asm/opal-api.h, opal.h; skiboot core/pci-opal.c. */

/** Answers. */
export const OPAL = { SUCCESS: 0, PARAMETER: -1, HARDWARE: -6, UNSUPPORTED: -7 } as const

/** Numbers of the calls, for logs. */
export const OPAL_CALL = {
  PCI_EEH_FREEZE_STATUS: 23,
  PCI_EEH_FREEZE_CLEAR: 26,
  PCI_SET_PE: 31,
  PCI_MAP_PE_DMA_WINDOW: 44,
  PCI_MAP_PE_DMA_WINDOW_REAL: 45,
  PCI_RESET: 49,
  PCI_ERR_INJECT: 96,
  PCI_EEH_FREEZE_SET: 97,
  PCI_TCE_KILL: 126,
} as const

/** What OPAL_PCI_TCE_KILL drops. */
export const TCE_KILL = { PAGES: 0, PE: 1, ALL: 2 } as const
/** What OPAL_PCI_EEH_FREEZE_STATUS tells, and the bits of freezing and thawing. */
export const FREEZE = { NONE: 0, MMIO: 1, DMA: 2, ALL: 3 } as const
/** OpalPciResetScope and assertion. */
export const RESET_SCOPE = { PHB_COMPLETE: 1, HOT: 4, FUNDAMENTAL: 5 } as const

/** OpalErrinjectFunc: loads, stores, DMA reads and writes of addresses and data. */
export const INJECT_FUNC_MAX = 19
/** OpalErrinjectType. */
export const INJECT_TYPE = { BUS_32: 0, BUS_64: 1 } as const

/** OpalPciBusCompare. 0 takes any bus, 7 compares all bits. */
export const BUS_COMPARE = { ANY: 0, ALL: 7 } as const

/**
 * The firmware as the kernel calls it. All answers are `OPAL` codes. Hardware behind it changes at once.
 * Addresses on the bus are two words, because a kill is called for every map and unmap.
 */
export interface OpalFirmware {
  /** A requester, or a range of buses from it on, belongs to an endpoint. @param busCompare `BUS_COMPARE`, 2 to 6: that many high bits + 1 @param function compare device and function as well */
  setPe(phb: number, pe: number, requester: number, busCompare: number, exact: boolean, on: boolean): number
  /**
   * Programs a window. All zeros from `levels` on: takes it out.
   * @param window `pe * 2 + (0 or 1)` @param levelBytes bytes of one level's table @param pageBytes bytes one TCE maps
   */
  mapPeDmaWindow(
    phb: number,
    pe: number,
    window: number,
    levels: number,
    table: number,
    levelBytes: number,
    pageBytes: number,
  ): number
  /** A window that goes through untranslated. @param bytes 0: takes it out */
  mapPeDmaWindowReal(phb: number, pe: number, window: number, first: bigint, bytes: bigint): number
  /** @param kind `TCE_KILL` @param pageBytes of the window @param pages entries from the address on */
  tceKill(phb: number, kind: number, pe: number, pageBytes: number, hi: number, lo: number, pages: number): number
  /** @returns a negative `OPAL` code, or `FREEZE` */
  freezeStatus(phb: number, pe: number): number
  freezeClear(phb: number, pe: number, what: number): number
  freezeSet(phb: number, pe: number, what: number): number
  /** @param slot the bridge above the bus to reset, as a requester id @param scope `RESET_SCOPE` */
  reset(phb: number, slot: number, scope: number, assert: boolean): number
  errInject(phb: number, pe: number, type: number, func: number, address: bigint, mask: bigint): number
}
