/**
 * How many bytes a capability has, for those a user may see. drivers/vfio/pci/vfio_pci_config.c pci_cap_length,
 * pci_ext_cap_length, vfio_cap_len, vfio_ext_cap_len.
 */
import { EXPRESS, MSI, type PciFunction, PORT } from '@ioasis/core'
import { CAPABILITY, EXTENDED } from './ids.ts'
import { dword, word } from './words.ts'

type Length = number | ((config: Uint8Array, at: number) => number)

const FIXED: ReadonlyMap<number, Length> = new Map<number, Length>([
  [CAPABILITY.PM, 8],
  [CAPABILITY.AGP, 12],
  [CAPABILITY.VPD, 8],
  [CAPABILITY.MSI, (config, at) => msiBytes(word(config, at + MSI.FLAGS))],
  [CAPABILITY.PCIX, (config, at) => ((word(config, at + 2) >>> 12) & 3 ? 24 : 8)],
  [CAPABILITY.HT, (config, at) => ((config[at + 3] as number) & 0xe0 ? 24 : 28)],
  [CAPABILITY.VENDOR, (config, at) => config[at + 2] as number],
  [CAPABILITY.EXPRESS, expressBytes],
  [CAPABILITY.MSIX, 12],
  [CAPABILITY.SATA, (config, at) => (((config[at + 4] as number) & 0xf) === 0xf ? 16 : 8)],
  [CAPABILITY.AF, 6],
])

const EXTENDED_LENGTHS: ReadonlyMap<number, Length> = new Map<number, Length>([
  [EXTENDED.AER, 0x2c],
  [EXTENDED.VC, virtualChannelBytes],
  [EXTENDED.DSN, 12],
  [EXTENDED.POWER_BUDGET, 16],
  [EXTENDED.MFVC, virtualChannelBytes],
  [EXTENDED.VC9, virtualChannelBytes],
  [EXTENDED.VENDOR, (config, at) => dword(config, at + 4) >>> 20],
  [EXTENDED.ACS, acsBytes],
  [EXTENDED.ARI, 8],
  [EXTENDED.ATS, 8],
  [EXTENDED.SRIOV, 0x40],
  [EXTENDED.MULTICAST, 40],
  [EXTENDED.PRI, 16],
  [EXTENDED.REBAR, (config, at) => 4 + (((config[at + 8] as number) & 0xe0) >>> 5) * 8],
  [EXTENDED.DPA, (config, at) => 16 + ((config[at + 4] as number) & 0x1f) + 1],
  [EXTENDED.TPH, tphBytes],
  [EXTENDED.LTR, 8],
  [EXTENDED.DVSEC, (config, at) => dword(config, at + 4) >>> 20],
])

/** Bytes of a capability; 0: it is hidden from the user. */
export const capabilityBytes = ({ config }: PciFunction, id: number, at: number): number =>
  measure(FIXED.get(id), config, at)
/** Bytes of an extended capability; 0: it is hidden from the user. */
export const extendedBytes = ({ config }: PciFunction, id: number, at: number): number =>
  measure(EXTENDED_LENGTHS.get(id), config, at)

/** Bytes of an MSI capability with these flags. */
export const msiBytes = (flags: number): number => 10 + (flags & MSI.WIDE ? 4 : 0) + (flags & MSI.MASKABLE ? 10 : 0)

const measure = (length: Length | undefined, config: Uint8Array, at: number): number =>
  typeof length === 'function' ? length(config, at) : (length ?? 0)

function expressBytes(config: Uint8Array, at: number): number {
  const flags = word(config, at + EXPRESS.FLAGS)
  const integrated = ((flags >>> 4) & 0xf) === PORT.RC_ENDPOINT
  if ((flags & EXPRESS.VERSION) === 1) return integrated ? 0xc : 0x14
  return integrated ? 0x2c : 0x34
}

function virtualChannelBytes(config: Uint8Array, at: number): number {
  const channels = 1 + (dword(config, at + 4) & 0x7)
  const arbitration = dword(config, at + 8)
  const phases = arbitration & 0x8 ? 128 : arbitration & 0x4 ? 64 : arbitration & 0x2 ? 32 : 0
  const bytes = 0x10 + channels * 0x0c
  return phases ? Math.ceil(bytes / 16) * 16 + (phases * 4) / 8 : bytes
}

function acsBytes(config: Uint8Array, at: number): number {
  if (!((config[at + 4] as number) & 0x20)) return 8
  const bits = config[at + 5] as number
  return 8 + (bits ? Math.ceil(bits / 32) * 32 : 256) / 8
}

function tphBytes(config: Uint8Array, at: number): number {
  const capability = dword(config, at + 4)
  return (capability & 0x600) === 0x200 ? 0xc + ((capability & 0x07ff_0000) >>> 16) * 2 + 2 : 0xc
}
