/** Device table entries, 256 bits each: 48882 "Device Table Entry Format". Fields are by 64-bit word and bit within it. */
import { field, type Field, type Bdf } from '@ioasis/core'

/** Bytes of an entry as a shift; the index is the 16-bit requester id. */
const DTE_SHIFT = 5

/** First word; bits 51:12 are the host page table. Bits 6:2 and 63 are reserved. */
export const DTE0: Readonly<
  Record<'V' | 'TV' | 'HAD' | 'Mode' | 'PPR' | 'GPRP' | 'GIOV' | 'GV' | 'GLX' | 'GCR3_14_12' | 'IR' | 'IW', Field>
> = {
  /** Bits 127:1 are valid; 0: requests pass untranslated. */
  V: field(0),
  /** The page table information is valid. */
  TV: field(1),
  /** Host Access Dirty: 0 nothing is updated, 1 accessed bits, 3 accessed and dirty bits. */
  HAD: field(8, 7),
  /** Levels of the host table: 0 no translation, 1 to 6, 7 reserved. */
  Mode: field(11, 9),
  /** The function may send page requests. */
  PPR: field(52),
  /** Page responses carry the PASID. */
  GPRP: field(53),
  /** Requests without PASID use PASID 0's guest tables. */
  GIOV: field(54),
  /** Guest translation: the GCR3 fields are valid. */
  GV: field(55),
  /** GCR3 table: 0 one level, 1 two, 2 three. */
  GLX: field(57, 56),
  GCR3_14_12: field(60, 58),
  /** Read and write permission, ANDed with those of the tables. */
  IR: field(61),
  IW: field(62),
}
/** Second word. */
export const DTE1: Readonly<
  Record<
    'DomainId' | 'GCR3_30_15' | 'I' | 'SE' | 'SA' | 'IoCtl' | 'Cache' | 'SD' | 'EX' | 'SysMgt' | 'SATS' | 'GCR3_51_31',
    Field
  >
> = {
  DomainId: field(15, 0),
  GCR3_30_15: field(31, 16),
  /** IOTLB enable: the function may use ATS. */
  I: field(32),
  /** Suppress page faults after the first; suppress all page fault events. */
  SE: field(33),
  SA: field(34),
  IoCtl: field(36, 35),
  /** The IOTLB may be bypassed by hints of the device. */
  Cache: field(37),
  /** Snoop disable, of page table reads. */
  SD: field(38),
  /** The exclusion range applies to this function. */
  EX: field(39),
  SysMgt: field(41, 40),
  SATS: field(42),
  GCR3_51_31: field(63, 43),
}
/** Third word: interrupts; bits 51:6 are the interrupt table. Bits 53:52 are reserved. */
export const DTE2: Readonly<
  Record<
    | 'IV'
    | 'IntTabLen'
    | 'IG'
    | 'GuestPagingMode'
    | 'InitPass'
    | 'EIntPass'
    | 'NMIPass'
    | 'HPTMode'
    | 'IntCtl'
    | 'Lint0Pass'
    | 'Lint1Pass',
    Field
  >
> = {
  /** This word is valid. */
  IV: field(0),
  /** The table has 2^IntTabLen entries; up to 9, or 11 with 2048 interrupts. */
  IntTabLen: field(4, 1),
  /** Ignore unmapped interrupts: their events are not logged. */
  IG: field(5),
  /** Guest tables: 0 four levels, 1 five. */
  GuestPagingMode: field(55, 54),
  InitPass: field(56),
  EIntPass: field(57),
  NMIPass: field(58),
  HPTMode: field(59),
  /** Fixed and arbitrated interrupts, see `INT_CTL`. */
  IntCtl: field(61, 60),
  Lint0Pass: field(62),
  Lint1Pass: field(63),
}
/** Values of `DTE2.IntCtl`. */
export const INT_CTL = { ABORT: 0, FORWARD: 1, REMAP: 2, RESERVED: 3 } as const
/** Fourth word: virtual IOMMU and memory attributes. Bits 14:0 and 53:48 are reserved. */
export const DTE3: Readonly<
  Record<'VImuEn' | 'GDeviceId' | 'GuestId' | 'AttrV' | 'Mode0FC' | 'SnoopAttribute', Field>
> = {
  VImuEn: field(15),
  GDeviceId: field(31, 16),
  GuestId: field(47, 32),
  AttrV: field(54),
  /** Mode 0: No Snoop requests are made coherent. */
  Mode0FC: field(55),
  SnoopAttribute: field(63, 56),
}
/** Reserved bits by word, low and high halves, as int32. */
export const DTE_RESERVED: readonly (readonly [lo: number, hi: number])[] = [
  [0x7c, 1 << 31],
  [0, 0],
  [0, 0x0030_0000],
  [0x7fff, 0x003f_0000],
]
/** Where the entry of a function lies in the table. */
export const dteOffset = (requester: Bdf): number => requester << DTE_SHIFT
