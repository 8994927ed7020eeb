/** The register file of one unit: what software may do to each bit. Behaviour is attached by the parts that own it. */
import { RegisterFile, type RegisterSpec } from '@ioasis/core'
import { REG } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'

/** Names of the registers. */
export type RegisterName = keyof typeof REG
/** A unit's registers. */
export type AmdRegisters = RegisterFile<RegisterName>

const WIDE = { size: 8 } as const
const BASE = { size: 8, rw: 0x0f0f_ffff_ffff_f000n } as const
const POINTER = { size: 8, rw: 0x7_fff0n } as const
const FULL = 0xffff_ffffn

const bit = (n: number, present = true): bigint => (present ? 1n << BigInt(n) : 0n)
const field = (lo: number, width: number, present = true): bigint =>
  present ? ((1n << BigInt(width)) - 1n) << BigInt(lo) : 0n

/** Control bits that stay 0 on a unit without the feature. */
function controlMask(caps: Capabilities): bigint {
  return (
    field(0, 13) |
    field(13, 3, caps.pageRequests) |
    bit(16, caps.guest) |
    bit(17, caps.wideEntries) |
    field(18, 14) |
    field(32, 11) |
    field(43, 2, caps.manyInterrupts) |
    field(45, 5) |
    field(50, 2, caps.x2apic) |
    field(52, 6) |
    bit(58, caps.gcr3Translated) |
    field(59, 5)
  )
}

/**
 * Makes the registers of a unit with these capabilities. Not there: performance counters, guest virtual APIC log
 * processing (its registers keep values), device table segments beyond the first, SMI filters.
 * @param qemu QEMU has every control bit, no exclusion range, and no registers that its features do not need
 */
export function amdRegisters(caps: Capabilities, qemu: boolean): AmdRegisters {
  const exclusion: Pick<RegisterSpec, 'size' | 'rw'> = qemu ? WIDE : { size: 8, rw: 0x000f_ffff_ffff_f003n }
  const ppr = caps.pageRequests || qemu
  const specs: Record<RegisterName, RegisterSpec> = {
    DEVTAB: { offset: REG.DEVTAB, size: 8, rw: 0x000f_ffff_ffff_f1ffn },
    CMDBASE: { offset: REG.CMDBASE, ...BASE },
    EVTBASE: { offset: REG.EVTBASE, ...BASE },
    CTRL: { offset: REG.CTRL, size: 8, rw: qemu ? 0xffff_ffff_ffff_ffffn : controlMask(caps) },
    EXCLBASE: { offset: REG.EXCLBASE, ...exclusion },
    EXCLLIMIT: {
      offset: REG.EXCLLIMIT,
      size: 8,
      rw: qemu ? 0xffff_ffff_ffff_ffffn : 0x000f_ffff_ffff_f000n,
    },
    EFR: { offset: REG.EFR, size: 8, reset: caps.efr },
    PPRBASE: { offset: REG.PPRBASE, ...(ppr ? BASE : WIDE) },
    HWEVT_HI: { offset: REG.HWEVT_HI, size: 8, rw: caps.hardwareEvents ? 0xffff_ffff_ffff_ffffn : 0n },
    HWEVT_LO: { offset: REG.HWEVT_LO, size: 8, rw: caps.hardwareEvents ? 0xffff_ffff_ffff_ffffn : 0n },
    HWEVT_STATUS: { offset: REG.HWEVT_STATUS, size: 8, rw1c: caps.hardwareEvents ? 6n : 0n },
    GALOG_BASE: { offset: REG.GALOG_BASE, ...BASE },
    GALOG_TAIL_ADDRESS: { offset: REG.GALOG_TAIL_ADDRESS, size: 8, rw: 0x000f_ffff_ffff_fff8n },
    DEVTAB_SEGMENT: { offset: REG.DEVTAB_SEGMENT, size: 8 },
    DEVICE_FEATURE: { offset: REG.DEVICE_FEATURE, size: 8 },
    MSI_VECTOR: { offset: REG.MSI_VECTOR },
    MSI_CAPABILITY: {
      offset: REG.MSI_CAPABILITY,
      ...(caps.msiRegisters ? { rw: 0x0001_0000, reset: 0x0080_0005 } : {}),
    },
    MSI_ADDRESS_LO: { offset: REG.MSI_ADDRESS_LO, rw: caps.msiRegisters ? 0xffff_fffc : 0 },
    MSI_ADDRESS_HI: { offset: REG.MSI_ADDRESS_HI, rw: caps.msiRegisters ? FULL : 0 },
    MSI_DATA: { offset: REG.MSI_DATA, rw: caps.msiRegisters ? 0xffff : 0 },
    MSI_MAPPING: { offset: REG.MSI_MAPPING },
    XT_GENERAL: { offset: REG.XT_GENERAL, size: 8, rw: caps.x2apic ? 0xff00_01ff_ffff_ff04n : 0n },
    XT_PPR: { offset: REG.XT_PPR, size: 8, rw: caps.x2apic ? 0xff00_01ff_ffff_ff04n : 0n },
    XT_GALOG: { offset: REG.XT_GALOG, size: 8, rw: caps.x2apic ? 0xff00_01ff_ffff_ff04n : 0n },
    EFR2: { offset: REG.EFR2, size: 8, reset: caps.efr2 },
    CMDHEAD: { offset: REG.CMDHEAD, ...POINTER },
    CMDTAIL: { offset: REG.CMDTAIL, ...POINTER },
    EVTHEAD: { offset: REG.EVTHEAD, ...POINTER },
    EVTTAIL: { offset: REG.EVTTAIL, ...POINTER },
    STATUS: { offset: REG.STATUS, size: 8, rw1c: 0x667n },
    PPRHEAD: { offset: REG.PPRHEAD, ...(ppr ? POINTER : WIDE) },
    PPRTAIL: { offset: REG.PPRTAIL, ...(ppr ? POINTER : WIDE) },
    GALOG_HEAD: { offset: REG.GALOG_HEAD, size: 8, rw: 0xfff8n },
    GALOG_TAIL: { offset: REG.GALOG_TAIL, size: 8, rw: 0xfff8n },
  }
  return new RegisterFile(specs, caps.registerBytes)
}
