/**
 * What the units of a machine can do, as Linux looks at it: features count when all units have them. Facts:
 * drivers/iommu/amd/init.c get_global_efr, early_amd_iommu_init; amd_iommu.h amd_iommu_v2_pgtbl_supported,
 * amd_iommu_gt_ppr_supported.
 */
import { type Field, get, hiWord, loWord, split } from '@ioasis/core'
import { EFR, EFR2 } from '../spec/features.ts'

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
  /** PPR log exists. */
  readonly pprLog: boolean
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
  /** The Completion Wait store goes to a range given in the exclusion registers. */
  readonly snp: boolean
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

/**
 * Works the registers out.
 * @param vaSize "VASize" of the IVRS table's header; 0: it does not limit
 * @param la57 the CPUs have five levels of page tables
 */
export function featuresOf({ efr, efr2 }: FeatureRegisters, vaSize: number, la57: boolean): Features {
  const one = (field: Field): boolean => has(efr, field)
  const two = (field: Field): boolean => has(efr2, field)
  const hats = value(efr, EFR.HATS)
  const guestTables = one(EFR.GIOSup) && one(EFR.GTSup)
  const pageRequests = guestTables && one(EFR.PPRSup) && one(EFR.EPHSup)
  const guestLevels = la57 && value(efr, EFR.GATS) === 1 ? 5 : 4
  return {
    efr,
    efr2,
    hostIovaBits: hats === 3 ? 0 : Math.min(vaSize || 64, (hats + 3) * 9 + 21),
    guestTables,
    guestLevels,
    pageRequests,
    pprLog: one(EFR.PPRSup),
    guestTranslation: one(EFR.GTSup),
    maxPasids: pageRequests && (!la57 || guestLevels === 5) ? 2 ** (value(efr, EFR.PASmax) + 1) - 1 : 0,
    maxGcr3Level: value(efr, EFR.GLXSup),
    nesting: one(EFR.GTSup) && one(EFR.GIOSup) && two(EFR2.GCR3TRPMode),
    invalidateAll: one(EFR.IASup),
    wideInterrupts: one(EFR.GASup),
    x2apic: one(EFR.XTSup) && one(EFR.GASup),
    enhancedPageRequests: one(EFR.EPHSup),
    gcr3Trp: one(EFR.GTSup) && two(EFR2.GCR3TRPMode),
    interrupts2k: value(efr2, EFR2.NumIntRemapSup) === 1,
    htRangeIgnored: two(EFR2.HTRangeIgnore),
    snp: one(EFR.SNPSup),
  }
}
