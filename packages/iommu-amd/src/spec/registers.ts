/** Register offsets and fields, AMD I/O Virtualization Technology (IOMMU) Specification, 48882 rev 3.x, "MMIO Registers". Offsets in bytes. */
import { field, type Field } from '@ioasis/core'

/** Registers by their offset. All are 64 bits wide except the MSI mirror at 0x158-0x168. */
export const REG: {
  readonly DEVTAB: 0x00
  readonly CMDBASE: 0x08
  readonly EVTBASE: 0x10
  readonly CTRL: 0x18
  readonly EXCLBASE: 0x20
  readonly EXCLLIMIT: 0x28
  readonly EFR: 0x30
  readonly PPRBASE: 0x38
  readonly HWEVT_HI: 0x40
  readonly HWEVT_LO: 0x48
  readonly HWEVT_STATUS: 0x50
  readonly GALOG_BASE: 0xe0
  readonly GALOG_TAIL_ADDRESS: 0xe8
  readonly DEVTAB_SEGMENT: 0x100
  readonly DEVICE_FEATURE: 0x138
  readonly MSI_VECTOR: 0x150
  readonly MSI_CAPABILITY: 0x158
  readonly MSI_ADDRESS_LO: 0x15c
  readonly MSI_ADDRESS_HI: 0x160
  readonly MSI_DATA: 0x164
  readonly MSI_MAPPING: 0x168
  readonly XT_GENERAL: 0x170
  readonly XT_PPR: 0x178
  readonly XT_GALOG: 0x180
  readonly EFR2: 0x1a0
  readonly CMDHEAD: 0x2000
  readonly CMDTAIL: 0x2008
  readonly EVTHEAD: 0x2010
  readonly EVTTAIL: 0x2018
  readonly STATUS: 0x2020
  readonly PPRHEAD: 0x2030
  readonly PPRTAIL: 0x2038
  readonly GALOG_HEAD: 0x2040
  readonly GALOG_TAIL: 0x2048
} = {
  DEVTAB: 0x00,
  CMDBASE: 0x08,
  EVTBASE: 0x10,
  CTRL: 0x18,
  EXCLBASE: 0x20,
  EXCLLIMIT: 0x28,
  EFR: 0x30,
  PPRBASE: 0x38,
  HWEVT_HI: 0x40,
  HWEVT_LO: 0x48,
  HWEVT_STATUS: 0x50,
  GALOG_BASE: 0xe0,
  GALOG_TAIL_ADDRESS: 0xe8,
  DEVTAB_SEGMENT: 0x100,
  DEVICE_FEATURE: 0x138,
  MSI_VECTOR: 0x150,
  MSI_CAPABILITY: 0x158,
  MSI_ADDRESS_LO: 0x15c,
  MSI_ADDRESS_HI: 0x160,
  MSI_DATA: 0x164,
  MSI_MAPPING: 0x168,
  XT_GENERAL: 0x170,
  XT_PPR: 0x178,
  XT_GALOG: 0x180,
  EFR2: 0x1a0,
  CMDHEAD: 0x2000,
  CMDTAIL: 0x2008,
  EVTHEAD: 0x2010,
  EVTTAIL: 0x2018,
  STATUS: 0x2020,
  PPRHEAD: 0x2030,
  PPRTAIL: 0x2038,
  GALOG_HEAD: 0x2040,
  GALOG_TAIL: 0x2048,
}
/** Bytes of a unit's register window: 16 KiB, or 512 KiB with performance counters (EFR.PCSup). */
export const REGISTER_BYTES = 0x4000
export const REGISTER_BYTES_COUNTERS = 0x8_0000

/** Device Table Base Address Register; bits 51:12 are the table. */
export const DEVTAB: { readonly SIZE: Field } = {
  /** The table has (SIZE + 1) * 4096 bytes, 128 entries each. */
  SIZE: field(8, 0),
}
/** Command Buffer, Event Log and PPR Log Base Address Registers; bits 51:12 are the ring. */
export const RING: { readonly LENGTH: Field } = {
  /** 2^LENGTH entries of 16 bytes; 8 to 15, smaller values are reserved. */
  LENGTH: field(59, 56),
}
/** Bits of the head and tail pointers: a byte offset of an entry. */
export const RING_POINTER_MASK = 0x7_fff0

/** IOMMU Control Register. */
export const CTRL: Readonly<
  Record<
    | 'IommuEn'
    | 'HtTunEn'
    | 'EventLogEn'
    | 'EventIntEn'
    | 'ComWaitIntEn'
    | 'InvTimeOut'
    | 'PassPW'
    | 'ResPassPW'
    | 'Coherent'
    | 'Isoc'
    | 'CmdBufEn'
    | 'PPRLogEn'
    | 'PPRIntEn'
    | 'PPREn'
    | 'GTEn'
    | 'GAEn'
    | 'GAMEn'
    | 'GALogEn'
    | 'GAIntEn'
    | 'NumIntRemapMode'
    | 'XTEn'
    | 'IntCapXTEn'
    | 'GCR3TRPMode'
    | 'IRTCacheDis',
    Field
  >
> = {
  /** Device table and page tables are used. */
  IommuEn: field(0),
  HtTunEn: field(1),
  EventLogEn: field(2),
  EventIntEn: field(3),
  ComWaitIntEn: field(4),
  /** How long an ATS invalidation may take, see `INV_TIMEOUT_MS`. */
  InvTimeOut: field(7, 5),
  PassPW: field(8),
  ResPassPW: field(9),
  /** Table reads see the CPUs' caches. */
  Coherent: field(10),
  Isoc: field(11),
  CmdBufEn: field(12),
  PPRLogEn: field(13),
  PPRIntEn: field(14),
  PPREn: field(15),
  /** Guest (two-level) translation. */
  GTEn: field(16),
  /** Interrupt entries have 128 bits. */
  GAEn: field(17),
  GAMEn: field(27, 25),
  GALogEn: field(28),
  GAIntEn: field(29),
  /** 1: up to 2048 interrupts for each function. */
  NumIntRemapMode: field(44, 43),
  /** Interrupt entries hold a 32-bit destination. */
  XTEn: field(50),
  /** The unit's own interrupts come from the XT registers rather than its MSI capability. */
  IntCapXTEn: field(51),
  /** The GCR3 root pointer of a DTE is a guest-physical address. */
  GCR3TRPMode: field(58),
  IRTCacheDis: field(59),
}
/** Milliseconds by `CTRL.InvTimeOut`; 0 and 7: there is no limit. */
export const INV_TIMEOUT_MS: readonly number[] = [0, 1, 10, 100, 1000, 10_000, 100_000, 0]

/** IOMMU Status Register. */
export const STATUS: Readonly<
  Record<
    | 'EventOverflow'
    | 'EventLogInt'
    | 'ComWaitInt'
    | 'EventLogRun'
    | 'CmdBufRun'
    | 'PPROverflow'
    | 'PPRInt'
    | 'PPRLogRun'
    | 'GALogRun'
    | 'GALogOverflow'
    | 'GAInt',
    Field
  >
> = {
  /** An event was lost; write 1 to clear. The log stands still until it is switched off and on. */
  EventOverflow: field(0),
  EventLogInt: field(1),
  ComWaitInt: field(2),
  EventLogRun: field(3),
  CmdBufRun: field(4),
  PPROverflow: field(5),
  PPRInt: field(6),
  PPRLogRun: field(7),
  GALogRun: field(8),
  GALogOverflow: field(9),
  GAInt: field(10),
}

/** Exclusion Base Register; bits 51:12 are the first page, those of the limit register the last one. */
export const EXCLBASE: { readonly ExEn: Field; readonly Allow: Field } = {
  ExEn: field(0),
  /** Every function may use the range; 0: those with DTE.EX. */
  Allow: field(1),
}

/** IOMMU Hardware Event Status Register. */
export const HWEVT_STATUS: { readonly HEV: Field; readonly HEO: Field } = {
  /** The two event registers hold an event. */
  HEV: field(1),
  /** Another one came while HEV was set. */
  HEO: field(2),
}

/** XT IOMMU Interrupt Control Registers: general, PPR and guest log. */
export const XT_INTERRUPT: {
  readonly DestMode: Field
  readonly DestLo: Field
  readonly Vector: Field
  readonly DeliveryMode: Field
  readonly DestHi: Field
} = {
  /** 1: logical. */
  DestMode: field(2),
  DestLo: field(31, 8),
  Vector: field(39, 32),
  DeliveryMode: field(40),
  DestHi: field(63, 56),
}
