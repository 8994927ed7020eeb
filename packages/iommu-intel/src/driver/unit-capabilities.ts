/** What a unit can do, as its driver reads it once out of CAP and ECAP. drivers/iommu/intel/iommu.h, "Decoding Capability Register". */
import { type Field, get, hiWord, loWord, split } from '@ioasis/core'
import { CAP, ECAP } from '../spec/capabilities.ts'

/** Plain data. */
export interface UnitCapabilities {
  readonly cap: bigint
  readonly ecap: bigint
  /** Domain ids, 16 to 65536. */
  readonly domains: number
  readonly cachingMode: boolean
  /** Writes to tables must be pushed out of the chipset with GCMD.WBF. */
  readonly writeBuffer: boolean
  /** Bit n: a walk of n + 2 levels. */
  readonly sagaw: number
  /** Width of an iova in bits. */
  readonly mgaw: number
  /** Bit 0: 2 MiB, bit 1: 1 GiB. */
  readonly largePages: number
  readonly pageSelective: boolean
  /** log2 of the pages that one page-selective invalidation may cover at most. */
  readonly maxMask: number
  readonly writeDraining: boolean
  readonly readDraining: boolean
  /** Setting the root table pointer empties all caches. */
  readonly rootEmptiesCaches: boolean
  readonly protectedMemory: boolean
  /** Offset of the first fault record, and how many follow each other. */
  readonly faultOffset: number
  readonly faultRecords: number
  /** Table reads snoop the CPUs' caches. */
  readonly coherent: boolean
  readonly queued: boolean
  readonly interruptRemapping: boolean
  readonly passThrough: boolean
  readonly snoopControl: boolean
  /** Offset of the IOTLB registers. */
  readonly iotlbOffset: number
  /** Invalidation descriptors are 256 bits wide, as Linux uses them on a unit that knows scalable mode. */
  readonly wideDescriptors: boolean
}

/** Splits the two registers into what the driver asks. */
export function unitCapabilities(cap: bigint, ecap: bigint): UnitCapabilities {
  split(cap)
  const [capLo, capHi] = [loWord(), hiWord()]
  split(ecap)
  const [ecapLo, ecapHi] = [loWord(), hiWord()]
  const c = (f: Field): number => get(f, capLo, capHi)
  const e = (f: Field): number => get(f, ecapLo, ecapHi)
  return Object.freeze({
    cap,
    ecap,
    domains: 1 << (4 + 2 * c(CAP.ND)),
    cachingMode: c(CAP.CM) === 1,
    writeBuffer: c(CAP.RWBF) === 1,
    sagaw: c(CAP.SAGAW),
    mgaw: c(CAP.MGAW) + 1,
    largePages: c(CAP.SSLPS),
    pageSelective: c(CAP.PSI) === 1,
    maxMask: c(CAP.MAMV),
    writeDraining: c(CAP.DWD) === 1,
    readDraining: c(CAP.DRD) === 1,
    rootEmptiesCaches: c(CAP.ESRTPS) === 1,
    protectedMemory: c(CAP.PLMR) === 1 || c(CAP.PHMR) === 1,
    faultOffset: ((c(CAP.FRO_HI) << 8) | c(CAP.FRO_LO)) * 16,
    faultRecords: c(CAP.NFR) + 1,
    coherent: e(ECAP.C) === 1,
    queued: e(ECAP.QI) === 1,
    interruptRemapping: e(ECAP.IR) === 1,
    passThrough: e(ECAP.PT) === 1,
    snoopControl: e(ECAP.SC) === 1,
    iotlbOffset: e(ECAP.IRO) * 16,
    wideDescriptors: e(ECAP.SMTS) === 1,
  })
}

/** The second stage of a unit: the widest table it walks. */
export interface SecondStageGeometry {
  /** 0-based: 3 for four levels. */
  readonly topLevel: number
  /** Bits of an iova. */
  readonly width: number
  /** Bit n set: pages of 2^n bytes. */
  readonly pageSizes: bigint
}

/** 1 + the number of the lowest bit set; 0 for none: C's ffs. */
const firstSet = (n: number): number => 32 - Math.clz32(n & -n)

/**
 * The largest table that MGAW and SAGAW both allow. As in Linux a unit that could also walk more levels than its MGAW needs
 * is given the longer walk. drivers/iommu/intel/iommu.c compute_vasz_lg2_ss.
 * @returns undefined when the unit has no second stage the driver knows
 */
export function secondStageGeometry(unit: UnitCapabilities): SecondStageGeometry | undefined {
  const { sagaw, mgaw } = unit
  const pageSizes = 0x1000n | (unit.largePages & 1 ? 0x20_0000n : 0n) | (unit.largePages & 2 ? 0x4000_0000n : 0n)
  if (mgaw > 48 && sagaw >= 8) return { topLevel: 4, width: Math.min(57, mgaw), pageSizes }
  if (mgaw > 39 && sagaw >= 4) return { topLevel: 3 + firstSet(sagaw >>> 3), width: Math.min(48, mgaw), pageSizes }
  if (mgaw > 30 && sagaw >= 2) return { topLevel: 2 + firstSet(sagaw >>> 2), width: Math.min(39, mgaw), pageSizes }
  return undefined
}

/** The AW field of a context entry, and the bit of SAGAW, that stand for a table: 1 for three levels (39 bits), 2 for four. */
export const addressWidth = (topLevel: number): number => topLevel - 1
