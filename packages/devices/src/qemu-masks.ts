/**
 * Which bits of a configuration space software can write in QEMU's devices. Facts: QEMU 11.1 hw/pci/pci.c pci_init_wmask,
 * pci_add_capability, hw/pci/pcie.c pcie_add_capability: COMMAND.ParityErrorResponse and the latency timer of a function are
 * hardwired to 0; behind the header every byte keeps what is written, save those of capabilities.
 */
import {
  type Bar,
  CAP,
  capabilities,
  type CapabilityLink,
  COMMAND,
  EXPRESS,
  EXT_CAP,
  extendedCapabilities,
  HEADER,
  isBridge,
  MSI,
  writeMasks,
} from '@ioasis/core'

const HEADER_BYTES = 0x40
const CONVENTIONAL_BYTES = 0x100

type Length = number | ((config: Uint8Array, at: number) => number)

/** Capabilities that core has no rules for. */
const FURTHER = { VENDOR: 0x09, HOT_PLUG: 0x0c, SUBSYSTEM: 0x0d, SATA: 0x12, SERIAL_NUMBER: 0x03 } as const

/** Bytes that QEMU sets aside for a capability. */
const LENGTHS: ReadonlyMap<number, Length> = new Map<number, Length>([
  [CAP.PM, 8],
  [CAP.VPD, 8],
  [
    CAP.MSI,
    (config, at) => msiBytes((config[at + MSI.FLAGS] as number) | ((config[at + MSI.FLAGS + 1] as number) << 8)),
  ],
  [FURTHER.VENDOR, (config, at) => config[at + 2] as number],
  [FURTHER.HOT_PLUG, 8],
  [FURTHER.SUBSYSTEM, 8],
  [CAP.EXPRESS, (config, at) => (((config[at + EXPRESS.FLAGS] as number) & EXPRESS.VERSION) < 2 ? 0x14 : 0x3c)],
  [CAP.MSIX, 12],
  [FURTHER.SATA, 8],
  [CAP.AF, 6],
])
const EXTENDED_LENGTHS: ReadonlyMap<number, Length> = new Map<number, Length>([
  [EXT_CAP.AER, 0x48],
  [FURTHER.SERIAL_NUMBER, 12],
  [EXT_CAP.ACS, 8],
  [EXT_CAP.ARI, 8],
  [EXT_CAP.ATS, 8],
  [EXT_CAP.SRIOV, 0x40],
  [EXT_CAP.PRI, 16],
  [EXT_CAP.PASID, 8],
])

const msiBytes = (flags: number): number => (flags & MSI.MASKABLE ? 0x14 : 10) + (flags & MSI.WIDE ? 4 : 0)

/**
 * The bits software can write, for a model's `writable`.
 * @param config 256 or 4096 bytes
 * @returns one byte for each of `config`
 */
export function qemuWritable(config: Uint8Array, bars: readonly Bar[]): Uint8Array {
  const { writable } = writeMasks(config, bars)
  writable[HEADER.COMMAND] = (writable[HEADER.COMMAND] as number) & ~COMMAND.PARITY
  if (!isBridge(config)) writable[HEADER.LATENCY_TIMER] = 0
  const scratch = new Uint8Array(config.length).fill(0xff, HEADER_BYTES)
  takeOut(scratch, config, capabilities(config), LENGTHS, CONVENTIONAL_BYTES)
  takeOut(scratch, config, extendedCapabilities(config), EXTENDED_LENGTHS, config.length)
  for (let at = HEADER_BYTES; at < config.length; at++) {
    writable[at] = (writable[at] as number) | (scratch[at] as number)
  }
  return writable
}

/** Capabilities are no scratch space; one of unknown length reaches to the next one, or to the end of its area. */
function takeOut(
  scratch: Uint8Array,
  config: Uint8Array,
  chain: readonly CapabilityLink[],
  lengths: ReadonlyMap<number, Length>,
  areaEnd: number,
): void {
  for (const { id, offset } of chain) {
    const length = lengths.get(id)
    const next = Math.min(areaEnd, ...chain.map((c) => c.offset).filter((other) => other > offset))
    const end = length === undefined ? next : offset + (typeof length === 'number' ? length : length(config, offset))
    scratch.fill(0, offset, Math.min(end, areaEnd))
  }
}
