/**
 * What the units of a machine can do, as Linux looks at it: features count when all units have them. Facts:
 * drivers/iommu/amd/init.c init_iommu_one, get_global_efr, early_amd_iommu_init, late_iommu_features_init; amd_iommu.h
 * amd_iommu_v2_pgtbl_supported, amd_iommu_gt_ppr_supported.
 */
import { type Field, get, hiWord, loWord, split } from '@ioasis/core'
import { EFR, EFR2 } from '../spec/features.ts'
import { type IvhdBlock, IVHD_ATTRIBUTE, IVHD_FEATURE, IVINFO } from '../spec/ivrs-table.ts'

/** Extended Feature Registers of one unit, or what all have. u64 each. */
export interface FeatureRegisters {
  readonly efr: bigint
  readonly efr2: bigint
}

/** The features that decide what the driver does. */
export interface Features extends FeatureRegisters {
  /** v1 tables: bits of an iova; 0: the units translate by guest tables only. */
  readonly hostIovaBits: number
  /** v2 tables, with GIOV: requests without a PASID use PASID 0's. */
  readonly guestTables: boolean
  /** Five levels of guest tables. */
  readonly guestLevels: 4 | 5
  /** PASIDs and page requests. */
  readonly pageRequests: boolean
  readonly guestTranslation: boolean
  /** Largest number of PASIDs that a function may have; 0: none. */
  readonly maxPasids: number
  /** Levels of a GCR3 table, less one. */
  readonly maxGcr3Level: number
  /** v2 on v1, the GCR3 root being a guest-physical address. */
  readonly nesting: boolean
  readonly invalidateAll: boolean
  /** Interrupt entries of 128 bits; with 32-bit destinations. */
  readonly wideInterrupts: boolean
  readonly x2apic: boolean
  readonly enhancedPageRequests: boolean
  readonly gcr3Trp: boolean
  readonly interrupts2k: boolean
  readonly htRangeIgnored: boolean
}

/** Whether a field of a register is not 0. */
export function has(register: bigint, field: Field): boolean {
  return value(register, field) !== 0
}
function value(register: bigint, field: Field): number {
  split(register)
  const hi = hiWord()
  return get(field, loWord(), hi)
}

/** What all units have. @param units at least one */
export const commonFeatures = (units: readonly FeatureRegisters[]): FeatureRegisters => ({
  efr: units.reduce((all, unit) => all & unit.efr, BigInt.asUintN(64, -1n)),
  efr2: units.reduce((all, unit) => all & unit.efr2, BigInt.asUintN(64, -1n)),
})

/** What firmware's table tells before any PCI function is there. Units are brought up by it, their tables shaped. */
export interface FirmwareFeatures {
  /** What all units have; 0 where blocks of type 10h do not tell: the registers are read later. */
  readonly registers: FeatureRegisters
  /** Bits of an iova at most. */
  readonly vaSize: number
  /** Host tables may be used. */
  readonly hostTables: boolean
  /** Interrupt entries of 128 bits, with 32-bit destinations. */
  readonly wideInterrupts: boolean
  readonly x2apic: boolean
}

/** The feature registers that a block tells (early_iommu_features_init). @param info "IVinfo" */
export const toldFeatures = ({ efr = 0n, efr2 = 0n }: IvhdBlock, info: number): FeatureRegisters =>
  get(IVINFO.EFRSup, info, 0) ? { efr, efr2 } : { efr: 0n, efr2: 0n }

/** Its block has features of its own in place of the registers. */
const isOld = ({ type }: IvhdBlock): boolean => type === 0x10

const hasWideEntries = (block: IvhdBlock): boolean =>
  isOld(block) ? get(IVHD_FEATURE.GASup, block.features, 0) === 1 : has(block.efr ?? 0n, EFR.GASup)

/** Reads firmware's table as init_iommu_one() and early_amd_iommu_init() do. @param blocks of the type that counts */
export function firmwareFeatures(info: number, blocks: readonly IvhdBlock[]): FirmwareFeatures {
  const wideInterrupts = blocks.every(hasWideEntries)
  return {
    registers: commonFeatures(blocks.map((block) => toldFeatures(block, info))),
    vaSize: get(IVINFO.VASize, info, 0) || 64,
    hostTables: !blocks.some((block) => !isOld(block) && get(IVHD_ATTRIBUTE.HATDis, block.features, 0) === 1),
    wideInterrupts,
    x2apic: wideInterrupts && blocks.some((block) => !isOld(block) && has(block.efr ?? 0n, EFR.XTSup)),
  }
}

/**
 * Works the registers out.
 * @param registers what all units have, in the end
 * @param la57 the CPUs have five levels of page tables
 */
export function featuresOf(registers: FeatureRegisters, firmware: FirmwareFeatures, la57: boolean): Features {
  const { efr, efr2 } = registers
  const told = firmware.registers
  const one = (field: Field): boolean => has(efr, field)
  const two = (field: Field): boolean => has(efr2, field)
  const hats = value(told.efr, EFR.HATS)
  const guestTables = one(EFR.GIOSup) && one(EFR.GTSup)
  const pageRequests = guestTables && one(EFR.PPRSup) && one(EFR.EPHSup)
  const guestLevels = la57 && value(told.efr, EFR.GATS) === 1 ? 5 : 4
  return {
    efr,
    efr2,
    hostIovaBits: hats === 3 || !firmware.hostTables ? 0 : Math.min(firmware.vaSize, (hats + 3) * 9 + 21),
    guestTables,
    guestLevels,
    pageRequests,
    guestTranslation: one(EFR.GTSup),
    maxPasids: pageRequests && (!la57 || guestLevels === 5) ? 2 ** (value(efr, EFR.PASmax) + 1) - 1 : 0,
    maxGcr3Level: value(efr, EFR.GLXSup),
    nesting: one(EFR.GTSup) && one(EFR.GIOSup) && two(EFR2.GCR3TRPMode),
    gcr3Trp: one(EFR.GTSup) && two(EFR2.GCR3TRPMode),
    htRangeIgnored: two(EFR2.HTRangeIgnore),
    wideInterrupts: firmware.wideInterrupts,
    x2apic: firmware.x2apic,
    interrupts2k: value(told.efr2, EFR2.NumIntRemapSup) === 1,
    invalidateAll: has(told.efr, EFR.IASup),
    enhancedPageRequests: has(told.efr, EFR.EPHSup),
  }
}
