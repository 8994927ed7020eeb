/**
 * Which bits of each capability software can write. PCI Express Base Specification r6.0 "7. Software Initialization and
 * Configuration", PCI Bus Power Management Interface Specification r1.2, PCI Local Bus Specification r3.0 "6.8 Message
 * Signaled Interrupts". What a capability does not declare (D1, extended tags, a slot) stays read-only.
 */
import { capabilities, dword, extendedCapabilities, portType, setDword, setWord, word } from './capability-chain.ts'
import { ACS, AF, CAP, EXPRESS, EXT_CAP, MSI, MSIX, PM, PORT } from './header.ts'

/** One byte for each byte of a configuration space. */
export interface WriteMasks {
  /** Bits that keep what is written. */
  readonly writable: Uint8Array
  /** Bits cleared by writing 1; they win over `writable`. */
  readonly clearedByOne: Uint8Array
}

type Rule = (config: Uint8Array, at: number, masks: WriteMasks) => void

/** Adds the masks of all capabilities and extended capabilities of `config`. */
export function maskCapabilities(config: Uint8Array, masks: WriteMasks): void {
  for (const { id, offset } of capabilities(config)) RULES.get(id)?.(config, offset, masks)
  for (const { id, offset } of extendedCapabilities(config)) EXTENDED_RULES.get(id)?.(config, offset, masks)
}

const powerManagement: Rule = (config, at, { writable, clearedByOne }) => {
  const hasPme = word(config, at + PM.CAPABILITIES) & PM.PME_SUPPORT
  setWord(writable, at + PM.CONTROL, PM.STATE | (hasPme ? PM.PME_ENABLE : 0))
  setWord(clearedByOne, at + PM.CONTROL, hasPme ? PM.PME_STATUS : 0)
}

const vitalProductData: Rule = (_config, at, { writable }) => {
  setWord(writable, at + 2, 0xffff)
  setDword(writable, at + 4, 0xffff_ffff)
}

/** Where data, mask bits and pending bits lie: they move up behind a 64-bit address. */
export const msiLayout = (flags: number): { readonly data: number; readonly mask: number; readonly pending: number } =>
  flags & MSI.WIDE ? { data: 0x0c, mask: 0x10, pending: 0x14 } : { data: 0x08, mask: 0x0c, pending: 0x10 }

const msi: Rule = (config, at, { writable }) => {
  const flags = word(config, at + MSI.FLAGS)
  const layout = msiLayout(flags)
  setWord(writable, at + MSI.FLAGS, MSI.ENABLE | MSI.CONFIGURED)
  setDword(writable, at + MSI.ADDRESS, 0xffff_fffc)
  if (flags & MSI.WIDE) setDword(writable, at + MSI.ADDRESS_HIGH, 0xffff_ffff)
  setWord(writable, at + layout.data, 0xffff)
  const vectors = 1 << ((flags & MSI.CAPABLE) >> 1)
  if (flags & MSI.MASKABLE) setDword(writable, at + layout.mask, 2 ** vectors - 1)
}

const msix: Rule = (_config, at, { writable }) => {
  setWord(writable, at + MSIX.FLAGS, MSIX.ENABLE | MSIX.MASK_ALL)
}

const advancedFeatures: Rule = (config, at, { writable }) => {
  if ((config[at + AF.CAPABILITIES] as number) & AF.CAP_FLR) writable[at + AF.CONTROL] = AF.FLR
}

/** Bits 3:0 error reporting, 7:5 payload size: every function has them. */
const DEVCTL_ALL = 0x00ef
/** Bandwidth and autonomous bandwidth status and their enables. */
const LINK_BANDWIDTH = { enables: 0xc00, status: 0xc000 }

function deviceControl(config: Uint8Array, at: number, type: number): number {
  const devcap = dword(config, at + EXPRESS.DEVCAP)
  let bits = DEVCTL_ALL
  if (devcap & EXPRESS.DEVCAP_EXT_TAG) bits |= 0x100
  if (devcap & EXPRESS.DEVCAP_PHANTOM) bits |= 0x200
  // Ports start no requests of their own that these could shape; they are hardwired to 0 there, as is usual.
  if (type !== PORT.ROOT_PORT && type !== PORT.UPSTREAM && type !== PORT.DOWNSTREAM) {
    bits |= EXPRESS.DEVCTL_RELAXED | EXPRESS.DEVCTL_NO_SNOOP | EXPRESS.DEVCTL_READ_REQUEST
  }
  if (devcap & EXPRESS.DEVCAP_FLR || type === PORT.PCIE_TO_PCI) bits |= EXPRESS.DEVCTL_FLR
  return bits
}

const express: Rule = (config, at, { writable, clearedByOne }) => {
  const type = portType(config)
  const flags = word(config, at + EXPRESS.FLAGS)
  const integrated = type === PORT.RC_ENDPOINT || type === PORT.RC_EVENT_COLLECTOR
  const downstream = type === PORT.ROOT_PORT || type === PORT.DOWNSTREAM
  setWord(writable, at + EXPRESS.DEVCTL, deviceControl(config, at, type ?? 0))
  setWord(clearedByOne, at + EXPRESS.DEVSTA, 0xf)
  if (!integrated) {
    const linkcap = dword(config, at + EXPRESS.LNKCAP)
    let link = 0x2c3
    if (downstream) link = link | 0x10 | (linkcap & EXPRESS.LNKCAP_BANDWIDTH ? LINK_BANDWIDTH.enables : 0)
    else link |= 0x8
    if (linkcap & EXPRESS.LNKCAP_CLOCK_PM) link |= 0x100
    setWord(writable, at + EXPRESS.LNKCTL, link)
    if (downstream && linkcap & EXPRESS.LNKCAP_BANDWIDTH)
      setWord(clearedByOne, at + EXPRESS.LNKSTA, LINK_BANDWIDTH.status)
  }
  if (downstream && flags & EXPRESS.SLOT) {
    setWord(writable, at + EXPRESS.SLTCTL, 0x1fff)
    setWord(clearedByOne, at + EXPRESS.SLTSTA, 0x11f)
  }
  if (type === PORT.ROOT_PORT || type === PORT.RC_EVENT_COLLECTOR) {
    setWord(writable, at + EXPRESS.RTCTL, 0x1f)
    setDword(clearedByOne, at + EXPRESS.RTSTA, 0x1_0000)
  }
  if ((flags & EXPRESS.VERSION) < 2) return
  setWord(writable, at + EXPRESS.DEVCTL2, 0x7fff)
  if (!integrated) setWord(writable, at + EXPRESS.LNKCTL2, 0xffff)
}

const RULES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [CAP.PM, powerManagement],
  [CAP.VPD, vitalProductData],
  [CAP.MSI, msi],
  [CAP.MSIX, msix],
  [CAP.AF, advancedFeatures],
  [CAP.EXPRESS, express],
])

const UNCORRECTABLE = 0x07ff_f030
const CORRECTABLE = 0xf1c1

const errorReporting: Rule = (config, at, { writable, clearedByOne }) => {
  const type = portType(config)
  const control = dword(config, at + 0x18)
  setDword(clearedByOne, at + 0x04, UNCORRECTABLE)
  setDword(writable, at + 0x08, UNCORRECTABLE)
  setDword(writable, at + 0x0c, UNCORRECTABLE)
  setDword(clearedByOne, at + 0x10, CORRECTABLE)
  setDword(writable, at + 0x14, CORRECTABLE)
  setDword(writable, at + 0x18, (control & 0x20 ? 0x40 : 0) | (control & 0x80 ? 0x100 : 0))
  if (type !== PORT.ROOT_PORT && type !== PORT.RC_EVENT_COLLECTOR) return
  setDword(writable, at + 0x2c, 0x7)
  setDword(clearedByOne, at + 0x30, 0x7f)
}

const accessControl: Rule = (config, at, { writable }) => {
  const can = word(config, at + ACS.CAPABILITY)
  setWord(writable, at + ACS.CONTROL, can & 0x7f)
  if (!(can & ACS.EC)) return
  const bytes = Math.ceil((can >>> 8 || 256) / 32) * 4
  writable.fill(0xff, at + ACS.EGRESS_VECTOR, at + ACS.EGRESS_VECTOR + bytes)
}

const pasid: Rule = (config, at, { writable }) => {
  setWord(writable, at + 6, 0x1 | (word(config, at + 4) & 0x6))
}

const pageRequests: Rule = (_config, at, { writable, clearedByOne }) => {
  setWord(writable, at + 4, 0x3)
  setWord(clearedByOne, at + 6, 0x3)
  setDword(writable, at + 0xc, 0xffff_ffff)
}

/** VF BARs are not here: their sizes stand nowhere in the configuration space (`maskVirtualBars`). */
const singleRootIo: Rule = (_config, at, { writable, clearedByOne }) => {
  setWord(writable, at + 0x08, 0x1f)
  setWord(clearedByOne, at + 0x0a, 0x1)
  setWord(writable, at + 0x10, 0xffff)
  setDword(writable, at + 0x20, 0xffff_ffff)
}

const words =
  (...rows: readonly (readonly [offset: number, bits: number])[]): Rule =>
  (_config, at, { writable }) => {
    for (const [offset, bits] of rows) setWord(writable, at + offset, bits)
  }

const portContainment: Rule = (_config, at, { writable, clearedByOne }) => {
  setWord(writable, at + 0x06, 0xff)
  setWord(clearedByOne, at + 0x08, 0x9)
}

const EXTENDED_RULES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [EXT_CAP.AER, errorReporting],
  [EXT_CAP.ACS, accessControl],
  [EXT_CAP.ATS, words([6, 0x801f])],
  [EXT_CAP.SRIOV, singleRootIo],
  [EXT_CAP.PRI, pageRequests],
  [EXT_CAP.PASID, pasid],
  [EXT_CAP.TPH, words([8, 0x307])],
  [EXT_CAP.LTR, words([4, 0x1fff], [6, 0x1fff])],
  [EXT_CAP.DPC, portContainment],
  [EXT_CAP.L1SS, words([8, 0xff0f], [10, 0xe3ff], [12, 0xfb])],
  [EXT_CAP.PTM, words([8, 0xff03])],
])
