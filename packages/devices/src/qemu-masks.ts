/**
 * Which bits of a configuration space software can write in QEMU's devices. Facts: QEMU 11.1 hw/pci/pci.c pci_init_wmask,
 * pci_add_capability, hw/pci/pcie.c pcie_add_capability: COMMAND.ParityErrorResponse and the latency timer of a function are
 * hardwired to 0; behind the header every byte keeps what is written, save those of capabilities. A capability keeps only
 * what its device asked for: of a PCI Express capability that is little.
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
  findCapability,
  HEADER,
  isBridge,
  MSI,
  PM,
  writeMasks,
} from '@ioasis/core'

const HEADER_BYTES = 0x40
const CONVENTIONAL_BYTES = 0x100
/** Where the list of extended capabilities begins. */
const EXTENDED_LIST = 0x100

type Length = number | ((config: Uint8Array, at: number) => number)

/** Capabilities that core has no rules for. */
const FURTHER = { VENDOR: 0x09, HOT_PLUG: 0x0c, SUBSYSTEM: 0x0d, SATA: 0x12, SERIAL_NUMBER: 0x03 } as const

const VENDOR = { INTEL: 0x8086, VIRTIO: 0x1af4 } as const
/** hw/virtio/virtio-pci.c: error reporting (pcie_cap_deverr_init), common clock and extended synch (pcie_cap_lnkctl_init). */
const VIRTIO_EXPRESS = { DEVCTL: 0x000f, LNKCTL: 0x00c0 } as const
/** End-End TLP Prefix Blocking, hw/pci/pcie.c pcie_cap_init. */
const PREFIX_BLOCKING = 0x8000
/** Data Select, hw/net/e1000e.c e1000e_add_pm_capability and igb.c igb_add_pm_capability. */
const DATA_SELECT = 0x1e00
/** Virtual I/O Device (VIRTIO) Version 1.2 "4.1.4.9 PCI configuration access capability": BAR, offset, length and data. */
const ACCESS_WINDOW = { TYPE: 3, ID: 5, BAR: 4, OFFSET: 8, END: 20 } as const

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
  if (!isBridge(config)) {
    writable[HEADER.LATENCY_TIMER] = 0
    for (const { id, offset } of capabilities(config)) ENDPOINT_RULES.get(id)?.(config, offset, writable)
  }
  const scratch = qemuScratch(config)
  for (let at = HEADER_BYTES; at < config.length; at++) {
    writable[at] = (writable[at] as number) | (scratch[at] as number)
  }
  return writable
}

type EndpointRule = (config: Uint8Array, at: number, writable: Uint8Array) => void

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
function setU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff
  bytes[at + 1] = value >>> 8
}

/** Payload and read request size, tags and snooping are hardwired to 0 (hw/pci/pcie.c pcie_cap_init, pcie_cap_flr_init). */
const express: EndpointRule = (config, at, writable) => {
  const second = (u16(config, at + EXPRESS.FLAGS) & EXPRESS.VERSION) >= 2
  const virtio = u16(config, HEADER.VENDOR_ID) === VENDOR.VIRTIO
  // DEVCAP_FLR is bit 28 of 32
  const reset = (config[at + EXPRESS.DEVCAP + 3] as number) & 0x10 ? EXPRESS.DEVCTL_FLR : 0
  writable.fill(0, at, at + (second ? 0x3c : 0x14))
  setU16(writable, at + EXPRESS.DEVCTL, reset | (virtio ? VIRTIO_EXPRESS.DEVCTL : 0))
  if (virtio) setU16(writable, at + EXPRESS.LNKCTL, VIRTIO_EXPRESS.LNKCTL)
  if (second) setU16(writable, at + EXPRESS.DEVCTL2, PREFIX_BLOCKING)
}
const powerManagement: EndpointRule = (config, at, writable) => {
  const intel = u16(config, HEADER.VENDOR_ID) === VENDOR.INTEL
  setU16(writable, at + PM.CONTROL, PM.STATE | (intel ? PM.PME_ENABLE | DATA_SELECT : 0))
}
/** hw/virtio/virtio-pci.c virtio_pci_device_plugged. What a read through the window would fetch is not modelled. */
const vendorSpecific: EndpointRule = (config, at, writable) => {
  const virtio = u16(config, HEADER.VENDOR_ID) === VENDOR.VIRTIO
  if (!virtio || config[at + ACCESS_WINDOW.TYPE] !== ACCESS_WINDOW.ID) return
  writable[at + ACCESS_WINDOW.BAR] = 0xff
  writable.fill(0xff, at + ACCESS_WINDOW.OFFSET, at + ACCESS_WINDOW.END)
}
const ENDPOINT_RULES: ReadonlyMap<number, EndpointRule> = new Map([
  [CAP.EXPRESS, express],
  [CAP.PM, powerManagement],
  [FURTHER.VENDOR, vendorSpecific],
])

/**
 * The bytes that belong to nothing: they keep what is written, also over a reset (hw/pci/pci.c pci_do_device_reset), for a
 * model's `keptOverReset`.
 * @param config 256 or 4096 bytes
 * @returns one byte for each of `config`
 */
export function qemuScratch(config: Uint8Array): Uint8Array {
  const scratch = new Uint8Array(config.length).fill(0xff, HEADER_BYTES)
  takeOut(scratch, config, capabilities(config), LENGTHS, CONVENTIONAL_BYTES)
  takeOut(scratch, config, extendedCapabilities(config), EXTENDED_LENGTHS, config.length)
  // Without extended capabilities an empty header stands there, and stays (hw/pci/pcie.c pcie_cap_init).
  const at = findCapability(config, CAP.EXPRESS)
  if (at && (u16(config, at + EXPRESS.FLAGS) & EXPRESS.VERSION) >= 2) scratch.fill(0, EXTENDED_LIST, EXTENDED_LIST + 4)
  return scratch
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
