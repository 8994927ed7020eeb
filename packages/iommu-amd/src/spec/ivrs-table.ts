/**
 * The ACPI table by which firmware tells where the units are: 48882 "I/O Virtualization ACPI Table"; Linux reads it in
 * drivers/iommu/amd/init.c. Blocks of unknown type are left out, as Linux does.
 */
import { type Bdf, field, type Field, type Hpa } from '@ioasis/core'

/** Settings that a device entry gives for the DTE of the functions it names: "DTE Setting Field". */
export const DTE_SETTING = {
  InitPass: 0x01,
  EIntPass: 0x02,
  NMIPass: 0x04,
  SysMgt: 0x30,
  Lint0Pass: 0x40,
  Lint1Pass: 0x80,
} as const

/** "IVinfo" of the table's header. */
export const IVINFO: Readonly<Record<'EFRSup' | 'DmaRemap' | 'GVASize' | 'PASize' | 'VASize' | 'HtAtsResv', Field>> = {
  /** Blocks of types 11h and 40h tell the feature registers. */
  EFRSup: field(0),
  DmaRemap: field(1),
  GVASize: field(7, 5),
  PASize: field(14, 8),
  /** Bits of an iova. */
  VASize: field(21, 15),
  HtAtsResv: field(22),
}
/** `IvhdBlock.features`: of type 10h, and of the others. */
export const IVHD_FEATURE: { readonly GASup: Field } = { GASup: field(6) }
export const IVHD_ATTRIBUTE: { readonly HATDis: Field } = {
  /** Host tables are not to be used. */
  HATDis: field(0),
}

/** A device entry of a unit: which functions, under which requester id, with which settings. */
export type IvhdDevice =
  | { readonly kind: 'all'; readonly settings: number }
  | { readonly kind: 'select'; readonly bdf: Bdf; readonly settings: number }
  | { readonly kind: 'range'; readonly first: Bdf; readonly last: Bdf; readonly settings: number }
  | { readonly kind: 'alias'; readonly bdf: Bdf; readonly alias: Bdf; readonly settings: number }
  | {
      readonly kind: 'alias-range'
      readonly first: Bdf
      readonly last: Bdf
      readonly alias: Bdf
      readonly settings: number
    }
  | {
      readonly kind: 'extended'
      readonly first: Bdf
      /** Same as `first` for a single function. */
      readonly last: Bdf
      /** Extended DTE setting: bit 31 disables ATS. */
      readonly extended: number
      readonly settings: number
    }
  | {
      readonly kind: 'special'
      readonly variety: 'ioapic' | 'hpet'
      readonly handle: number
      readonly bdf: Bdf
      readonly settings: number
    }
  | { readonly kind: 'acpi'; readonly hid: string; readonly bdf: Bdf; readonly settings: number }

/** A unit: "I/O Virtualization Hardware Definition Block". One unit may have a block of each type. */
export interface IvhdBlock {
  /** 0x10, or 0x11 and 0x40 with the feature registers. Type 0x40 alone may name ACPI devices. */
  readonly type: 0x10 | 0x11 | 0x40
  /** Bit 0 HtTunEn, 1 PassPW, 2 ResPassPW, 3 Isoc, 4 IotlbSup, 5 Coherent, 6 PreFSup, 7 PPRSup. */
  readonly flags: number
  /** The IOMMU's own function, and the offset of its capability block. */
  readonly bdf: Bdf
  readonly capabilityOffset: number
  readonly registers: Hpa
  readonly segment: number
  /** MSI number in bits 4:0, unit id in 12:8. */
  readonly info: number
  /** Type 0x10: feature reporting, see `IVHD_FEATURE`; else `IVHD_ATTRIBUTE`. */
  readonly features: number
  /** The extended feature registers as firmware saw them; types 0x11 and 0x40. */
  readonly efr?: bigint
  readonly efr2?: bigint
  readonly devices: readonly IvhdDevice[]
}

/** Memory that devices keep using: "I/O Virtualization Memory Definition Block". */
export interface IvmdBlock {
  readonly scope: 'all' | { readonly first: Bdf; readonly last: Bdf }
  readonly segment: number
  readonly first: Hpa
  /** Bytes. */
  readonly size: number
  /** Unity: mapped one to one with these permissions; exclusion: left out of translation. */
  readonly unity: boolean
  readonly read: boolean
  readonly write: boolean
  readonly exclusion: boolean
}

/** A parsed table. */
export interface IvrsTable {
  /** "IVinfo", see `IVINFO`. */
  readonly info: number
  readonly units: readonly IvhdBlock[]
  readonly memory: readonly IvmdBlock[]
}

/** Bytes of the table's header, and of a block's fixed part. */
export const IVRS_HEADER = 48
export const IVHD_BYTES = { 0x10: 24, 0x11: 40, 0x40: 40 } as const
/** Types of device entries. */
export const ENTRY = {
  ALL: 1,
  SELECT: 2,
  START: 3,
  END: 4,
  ALIAS: 0x42,
  ALIAS_START: 0x43,
  EXTENDED: 0x46,
  EXTENDED_START: 0x47,
  SPECIAL: 0x48,
  ACPI: 0xf0,
} as const
/** Types of memory blocks. */
export const IVMD = { ALL: 0x20, SELECT: 0x21, RANGE: 0x22 } as const
