/** What CAP and ECAP of one unit say, decoded once. */
import { type Field, get, hex, hiWord, loWord, split } from '@ioasis/core'
import { CAP, ECAP } from '../spec/capabilities.ts'
import { REGISTER_BYTES } from '../spec/registers.ts'
import { SS_ADDRESS_BITS } from '../spec/second-stage.ts'

/** The abilities of one unit. */
export interface Capabilities {
  readonly cap: bigint
  readonly ecap: bigint
  /** Host Address Width: table and page addresses have no bits above it. */
  readonly haw: number
  /** Width of a domain id. */
  readonly domainBits: number
  /** Bit n: tables of n + 2 levels. */
  readonly sagaw: number
  /** Bits of the widest address a request may carry. */
  readonly mgaw: number
  /** Bit 0: 2 MiB leaves, bit 1: 1 GiB leaves. */
  readonly superpages: number
  readonly pageSelective: boolean
  /** Largest address mask of an invalidation. */
  readonly maxMask: number
  /** Fault recording registers and where they begin. */
  readonly faultRecords: number
  readonly faultOffset: number
  /** Where IVA and IOTLB lie. */
  readonly iotlbOffset: number
  /** Table walks see dirty lines of the CPUs. */
  readonly coherent: boolean
  readonly queued: boolean
  readonly deviceTlb: boolean
  readonly passThrough: boolean
  readonly snoopControl: boolean
  readonly interruptRemapping: boolean
  readonly scalable: boolean
  readonly pageRequests: boolean
  /** Protected memory regions exist. */
  readonly protectedRegions: boolean
}

/**
 * Decodes the two registers.
 * @param haw host address width in bits, at most 52
 * @throws RangeError when the registers they place do not fit the window, or `haw` is too wide
 */
export function capabilitiesOf(cap: bigint, ecap: bigint, haw: number): Capabilities {
  const c = reader(cap)
  const e = reader(ecap)
  const faultOffset = ((c(CAP.FRO_HI) << 8) | c(CAP.FRO_LO)) * 16
  const faultRecords = c(CAP.NFR) + 1
  const iotlbOffset = e(ECAP.IRO) * 16
  if (faultOffset + faultRecords * 16 > REGISTER_BYTES || iotlbOffset + 16 > REGISTER_BYTES) {
    throw new RangeError(`vtd: CAP ${hex(cap)} or ECAP ${hex(ecap)} places registers beyond ${hex(REGISTER_BYTES)}`)
  }
  if (haw > SS_ADDRESS_BITS || haw < 32) throw new RangeError(`vtd: a host address width of ${haw} bits is impossible`)
  return {
    cap,
    ecap,
    haw,
    domainBits: Math.min(16, 4 + 2 * c(CAP.ND)),
    sagaw: c(CAP.SAGAW),
    mgaw: c(CAP.MGAW) + 1,
    superpages: c(CAP.SSLPS),
    pageSelective: c(CAP.PSI) === 1,
    maxMask: c(CAP.MAMV),
    faultRecords,
    faultOffset,
    iotlbOffset,
    coherent: e(ECAP.C) === 1,
    queued: e(ECAP.QI) === 1,
    deviceTlb: e(ECAP.DT) === 1,
    passThrough: e(ECAP.PT) === 1,
    snoopControl: e(ECAP.SC) === 1,
    interruptRemapping: e(ECAP.IR) === 1,
    scalable: e(ECAP.SMTS) === 1,
    pageRequests: e(ECAP.PRS) === 1,
    protectedRegions: (c(CAP.PLMR) | c(CAP.PHMR)) === 1,
  }
}

function reader(value: bigint): (f: Field) => number {
  split(value)
  const lo = loWord()
  const hi = hiWord()
  return (f) => get(f, lo, hi)
}
