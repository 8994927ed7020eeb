/** What the feature registers and the capability header of one unit say, decoded once. */
import { type Field, get, hex, hiWord, loWord, split } from '@ioasis/core'
import { CAPABILITY_HEADER, EFR, EFR2 } from '../spec/features.ts'
import { HOST_LEVELS } from '../spec/host-page-table.ts'
import { REGISTER_BYTES, REGISTER_BYTES_COUNTERS } from '../spec/registers.ts'

/** The registers that tell a unit's abilities. */
export interface FeatureRegisters {
  /** Extended Feature Register, u64. */
  readonly efr: bigint
  /** Extended Feature 2 Register, u64; default 0. */
  readonly efr2?: bigint
  /** First word of the PCI capability block: IotlbSup, NpCache, EFRSup. */
  readonly capabilityHeader: number
  /** Bits of a system-physical address, at most 52; default 52. */
  readonly paBits?: number
}

/** The abilities of one unit. */
export interface Capabilities {
  readonly efr: bigint
  readonly efr2: bigint
  readonly capabilityHeader: number
  readonly paBits: number
  /** Bytes of the register window. */
  readonly registerBytes: number
  /** Remote IOTLBs: ATS and INVALIDATE_IOTLB_PAGES. */
  readonly iotlb: boolean
  /** Absent entries are cached, too. */
  readonly npCache: boolean
  readonly prefetch: boolean
  readonly pageRequests: boolean
  readonly x2apic: boolean
  /** The no-execute and user/supervisor bits of guest tables count. */
  readonly noExecute: boolean
  readonly userSupervisor: boolean
  readonly guest: boolean
  readonly invalidateAll: boolean
  /** 128-bit interrupt entries. */
  readonly wideEntries: boolean
  readonly hardwareEvents: boolean
  /** Most levels of a host table; 0: no host translation. */
  readonly hostLevels: number
  /** Most levels of a guest table. */
  readonly guestLevels: number
  /** Largest DTE.GLX. */
  readonly maxGlx: number
  readonly pasidBits: number
  /** Requests without PASID may use PASID 0's tables. */
  readonly giov: boolean
  readonly hostAccessed: boolean
  readonly hostDirty: boolean
  readonly msiRegisters: boolean
  readonly gcr3Translated: boolean
  /** Up to 2048 interrupts for each function. */
  readonly manyInterrupts: boolean
}

/**
 * Decodes the registers.
 * @throws RangeError when `paBits` is impossible
 */
export function capabilitiesOf({ efr, efr2 = 0n, capabilityHeader, paBits = 52 }: FeatureRegisters): Capabilities {
  const header = reader(BigInt(capabilityHeader >>> 0))
  // Without EFRSup the register does not exist and reads 0.
  const e = reader(header(CAPABILITY_HEADER.EFRSup) ? efr : 0n)
  const e2 = reader(efr2)
  if (paBits > 52 || paBits < 32) throw new RangeError(`amd-vi: ${hex(paBits)} bits of physical address are impossible`)
  const hats = e(EFR.HATS)
  return {
    efr,
    efr2,
    capabilityHeader,
    paBits,
    registerBytes: e(EFR.PCSup) ? REGISTER_BYTES_COUNTERS : REGISTER_BYTES,
    iotlb: header(CAPABILITY_HEADER.IotlbSup) === 1,
    npCache: header(CAPABILITY_HEADER.NpCache) === 1,
    prefetch: e(EFR.PreFSup) === 1,
    pageRequests: e(EFR.PPRSup) === 1,
    x2apic: e(EFR.XTSup) === 1,
    noExecute: e(EFR.NXSup) === 1,
    userSupervisor: e(EFR.USSup) === 1,
    guest: e(EFR.GTSup) === 1,
    invalidateAll: e(EFR.IASup) === 1,
    wideEntries: e(EFR.GASup) === 1,
    hardwareEvents: e(EFR.HESup) === 1,
    hostLevels: hats === 3 ? 0 : Math.min(4 + hats, HOST_LEVELS),
    guestLevels: e(EFR.GATS) === 1 ? 5 : 4,
    maxGlx: e(EFR.GLXSup),
    pasidBits: e(EFR.PASmax) + 1,
    giov: e(EFR.GIOSup) === 1,
    hostAccessed: e(EFR.HASup) === 1,
    hostDirty: e(EFR.HDSup) === 1,
    msiRegisters: e(EFR.MsiCapMmioSup) === 1,
    gcr3Translated: e2(EFR2.GCR3TRPMode) === 1,
    manyInterrupts: e2(EFR2.NumIntRemapSup) === 1,
  }
}

function reader(value: bigint): (f: Field) => number {
  split(value)
  const lo = loWord()
  const hi = hiWord()
  return (f) => get(f, lo, hi)
}
