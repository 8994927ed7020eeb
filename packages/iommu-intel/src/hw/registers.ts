/** The register file of one unit: what software may do to each bit. Behaviour is attached by the parts that own it. */
import { RegisterFile, type RegisterSpec } from '@ioasis/core'
import { REG, REGISTER_BYTES } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'

/** Names of the registers; fault record n is `FRCDn.lo` and `FRCDn.hi`. */
export type RegisterName = keyof typeof REG | 'IVA' | 'IOTLB' | `FRCD${number}.lo` | `FRCD${number}.hi`
/** A unit's registers. */
export type VtdRegisters = RegisterFile<RegisterName>

/** An event's three message registers: data, address, upper address. */
const MESSAGE = { rw: 0xffff_ffff }
/** An event's control: masked after reset. */
const CONTROL = { rw: 0x8000_0000, reset: 0x8000_0000 }

/**
 * Makes the registers of a unit with these capabilities. Not there: advanced fault logging (CAP.AFL), performance
 * monitoring, enhanced commands, MTRRs. Protected memory regions keep their registers, but block nothing.
 * @param version VER_REG, major in bits 7:4, minor in 3:0
 */
export function vtdRegisters(caps: Capabilities, version: number): VtdRegisters {
  const region = caps.protectedRegions ? 0xffff_ffff : 0
  const wideRegion = caps.protectedRegions ? 0xffff_ffff_ffff_ffffn : 0n
  const specs: Record<string, RegisterSpec> = {
    VER: { offset: REG.VER, reset: version },
    CAP: { offset: REG.CAP, size: 8, reset: caps.cap },
    ECAP: { offset: REG.ECAP, size: 8, reset: caps.ecap },
    GCMD: { offset: REG.GCMD, rw: 0xff80_0000, wo: 0xff80_0000 },
    GSTS: { offset: REG.GSTS },
    RTADDR: { offset: REG.RTADDR, size: 8, rw: 0xffff_ffff_ffff_fc00n },
    CCMD: { offset: REG.CCMD, size: 8, rw: 0xe000_0003_ffff_ffffn, wo: 0x0000_0003_ffff_0000n },
    FSTS: { offset: REG.FSTS, rw1c: 0x71 },
    FECTL: { offset: REG.FECTL, ...CONTROL },
    FEDATA: { offset: REG.FEDATA, ...MESSAGE },
    FEADDR: { offset: REG.FEADDR, rw: 0xffff_fffc },
    FEUADDR: { offset: REG.FEUADDR, ...MESSAGE },
    PMEN: { offset: REG.PMEN, rw: caps.protectedRegions ? 0x8000_0000 : 0 },
    PLMBASE: { offset: REG.PLMBASE, rw: region },
    PLMLIMIT: { offset: REG.PLMLIMIT, rw: region },
    PHMBASE: { offset: REG.PHMBASE, size: 8, rw: wideRegion },
    PHMLIMIT: { offset: REG.PHMLIMIT, size: 8, rw: wideRegion },
    IQH: { offset: REG.IQH, size: 8 },
    IQT: { offset: REG.IQT, size: 8, rw: 0x7fff0 },
    IQA: { offset: REG.IQA, size: 8, rw: 0xffff_ffff_ffff_f807n },
    ICS: { offset: REG.ICS, rw1c: 1 },
    IECTL: { offset: REG.IECTL, ...CONTROL },
    IEDATA: { offset: REG.IEDATA, ...MESSAGE },
    IEADDR: { offset: REG.IEADDR, rw: 0xffff_fffc },
    IEUADDR: { offset: REG.IEUADDR, ...MESSAGE },
    IQERCD: { offset: REG.IQERCD, size: 8 },
    IRTA: { offset: REG.IRTA, size: 8, rw: 0xffff_ffff_ffff_f80fn },
    MTRRCAP: { offset: REG.MTRRCAP, size: 8 },
    IVA: { offset: caps.iotlbOffset, size: 8, rw: 0xffff_ffff_ffff_f07fn, wo: 0xffff_ffff_ffff_f07fn },
    IOTLB: { offset: caps.iotlbOffset + 8, size: 8, rw: 0xb003_ffff_0000_0000n },
    ...pageRequestRegisters(caps.pageRequests),
  }
  for (let i = 0; i < caps.faultRecords; i++) {
    specs[`FRCD${i}.lo`] = { offset: caps.faultOffset + i * 16, size: 8 }
    specs[`FRCD${i}.hi`] = { offset: caps.faultOffset + i * 16 + 8, size: 8, rw1c: 0x8000_0000_0000_0000n }
  }
  const registers: VtdRegisters = new RegisterFile(specs as Record<RegisterName, RegisterSpec>, REGISTER_BYTES)
  // The Protected Region Status follows the enable bit.
  registers.onWrite('PMEN', (value) => registers.set('PMEN', value < 0 && caps.protectedRegions ? 0x8000_0001 | 0 : 0))
  return registers
}

/** The page request queue and its event; a unit without page requests (ECAP.PRS) has zeros there. */
function pageRequestRegisters(exist: boolean): Record<string, RegisterSpec> {
  const specs: Record<string, RegisterSpec> = {
    PQH: { offset: REG.PQH, size: 8, rw: 0x7ffe0 },
    PQT: { offset: REG.PQT, size: 8, rw: 0x7ffe0 },
    PQA: { offset: REG.PQA, size: 8, rw: 0xffff_ffff_ffff_f007n },
    PRS: { offset: REG.PRS, rw1c: 3 },
    PECTL: { offset: REG.PECTL, ...CONTROL },
    PEDATA: { offset: REG.PEDATA, ...MESSAGE },
    PEADDR: { offset: REG.PEADDR, rw: 0xffff_fffc },
    PEUADDR: { offset: REG.PEUADDR, ...MESSAGE },
  }
  if (exist) return specs
  return Object.fromEntries(Object.entries(specs).map(([name, { offset, size = 4 }]) => [name, { offset, size }]))
}
