/** What a unit can do: 48882 "IOMMU Extended Feature Register" (0x30), "Extended Feature 2 Register" (0x1a0), "Capability Header". */
import { field, type Field } from '@ioasis/core'

/** Extended Feature Register. */
export const EFR: Readonly<
  Record<
    | 'PreFSup'
    | 'PPRSup'
    | 'XTSup'
    | 'NXSup'
    | 'GTSup'
    | 'IASup'
    | 'GASup'
    | 'HESup'
    | 'PCSup'
    | 'HATS'
    | 'GATS'
    | 'GLXSup'
    | 'SmiFSup'
    | 'SmiFRC'
    | 'GAMSup'
    | 'DualPprLogSup'
    | 'DualEventLogSup'
    | 'PASmax'
    | 'USSup'
    | 'DevTblSegSup'
    | 'PprOvrflwEarlySup'
    | 'PPRAutoRspSup'
    | 'BlkStopMrkSup'
    | 'PerfOptSup'
    | 'MsiCapMmioSup'
    | 'GIOSup'
    | 'HASup'
    | 'EPHSup'
    | 'AttrFWSup'
    | 'HDSup'
    | 'InvIotlbTypeSup'
    | 'GAUpdateDisSup'
    | 'ForcePhyDestSup'
    | 'SNPSup',
    Field
  >
> = {
  PreFSup: field(0),
  PPRSup: field(1),
  /** 32-bit destinations in interrupt entries. */
  XTSup: field(2),
  /** The no-execute bit of guest tables. */
  NXSup: field(3),
  /** Guest translation. */
  GTSup: field(4),
  /** INVALIDATE_IOMMU_ALL. */
  IASup: field(6),
  /** 128-bit interrupt entries. */
  GASup: field(7),
  /** Hardware event registers. */
  HESup: field(8),
  PCSup: field(9),
  /** Host Address Translation Size: 0 four levels, 1 five, 2 six; 3 no host translation. */
  HATS: field(11, 10),
  /** Guest Address Translation Size: 0 four levels, 1 five. */
  GATS: field(13, 12),
  /** GCR3 levels: 0 one, 1 two, 2 three. */
  GLXSup: field(15, 14),
  SmiFSup: field(17, 16),
  SmiFRC: field(20, 18),
  /** Guest virtual APIC modes. */
  GAMSup: field(23, 21),
  DualPprLogSup: field(25, 24),
  DualEventLogSup: field(29, 28),
  /** PASIDs have PASmax + 1 bits. */
  PASmax: field(36, 32),
  /** User/supervisor protection of guest tables. */
  USSup: field(37),
  DevTblSegSup: field(39, 38),
  PprOvrflwEarlySup: field(40),
  PPRAutoRspSup: field(41),
  BlkStopMrkSup: field(44, 43),
  PerfOptSup: field(45),
  /** The MSI capability stands in the register window, too. */
  MsiCapMmioSup: field(46),
  /** Requests without PASID may use PASID 0's tables. */
  GIOSup: field(48),
  /** Host Accessed bits, Host Dirty bits. */
  HASup: field(49),
  EPHSup: field(50),
  AttrFWSup: field(51),
  HDSup: field(52),
  InvIotlbTypeSup: field(54),
  GAUpdateDisSup: field(61),
  ForcePhyDestSup: field(62),
  SNPSup: field(63),
}
/** Extended Feature 2 Register. */
export const EFR2: Readonly<
  Record<'SevSnpIoSup' | 'GCR3TRPMode' | 'SnpAvicSup' | 'NumIntRemapSup' | 'HTRangeIgnore', Field>
> = {
  SevSnpIoSup: field(1),
  /** A DTE's GCR3 root may be a guest-physical address. */
  GCR3TRPMode: field(3),
  SnpAvicSup: field(7, 5),
  /** 1: 2048 interrupts for each function. */
  NumIntRemapSup: field(9, 8),
  HTRangeIgnore: field(11),
}

/** PCI capability block of the IOMMU's own function: dword offsets from the capability's start. */
export const CAPABILITY = { HEADER: 0x00, BASE_LO: 0x04, BASE_HI: 0x08, RANGE: 0x0c, MISC: 0x10, MISC1: 0x14 } as const
/** Capability Header. */
export const CAPABILITY_HEADER: Readonly<
  Record<'CapId' | 'CapPtr' | 'CapType' | 'CapRev' | 'IotlbSup' | 'HtTunnel' | 'NpCache' | 'EFRSup' | 'CapExt', Field>
> = {
  CapId: field(7, 0),
  CapPtr: field(15, 8),
  CapType: field(18, 16),
  CapRev: field(23, 19),
  /** Remote IOTLBs (ATS). */
  IotlbSup: field(24),
  HtTunnel: field(25),
  /** Absent entries may be cached: a new mapping needs an invalidation. */
  NpCache: field(26),
  /** The Extended Feature Register exists. */
  EFRSup: field(27),
  CapExt: field(28),
}
/** Base Address Low: bits 31:14 of the register window. */
export const CAPABILITY_BASE: { readonly Enable: Field } = {
  /** The window is decoded; with it the address is locked until reset. */
  Enable: field(0),
}
