/**
 * Names and numbers of PCI configuration space. PCI Local Bus Specification r3.0 "6. Configuration Space", PCI Express Base
 * Specification r6.0 "7. Software Initialization and Configuration"; spelled as in include/uapi/linux/pci_regs.h.
 */

/** Byte offsets of the header's registers. Types 0 and 1 share those up to BAR1. */
export const HEADER = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION_ID: 0x08,
  /** Class code, 3 bytes. */
  CLASS: 0x09,
  CACHE_LINE_SIZE: 0x0c,
  LATENCY_TIMER: 0x0d,
  HEADER_TYPE: 0x0e,
  BAR0: 0x10,
  SUBSYSTEM_VENDOR_ID: 0x2c,
  SUBSYSTEM_ID: 0x2e,
  ROM: 0x30,
  CAPABILITY_LIST: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const

/** Byte offsets of the type 1 header (bridges). */
export const BRIDGE = {
  PRIMARY_BUS: 0x18,
  SECONDARY_BUS: 0x19,
  SUBORDINATE_BUS: 0x1a,
  SEC_LATENCY_TIMER: 0x1b,
  IO_BASE: 0x1c,
  IO_LIMIT: 0x1d,
  SEC_STATUS: 0x1e,
  MEMORY_BASE: 0x20,
  MEMORY_LIMIT: 0x22,
  PREF_BASE: 0x24,
  PREF_LIMIT: 0x26,
  PREF_BASE_UPPER: 0x28,
  PREF_LIMIT_UPPER: 0x2c,
  IO_UPPER: 0x30,
  ROM: 0x38,
  CONTROL: 0x3e,
} as const

/** Bits of COMMAND. */
export const COMMAND = { IO: 0x1, MEMORY: 0x2, MASTER: 0x4, PARITY: 0x40, SERR: 0x100, INTX_DISABLE: 0x400 } as const
/** Bits of STATUS; `ERRORS` are cleared by writing 1. */
export const STATUS = { INTERRUPT: 0x8, CAP_LIST: 0x10, ERRORS: 0xf900 } as const
/** Bits of Bridge Control. */
export const BRIDGE_CONTROL = { BUS_RESET: 0x40 } as const
/** Bits of the header type byte. */
export const HEADER_TYPE = { MASK: 0x7f, NORMAL: 0, BRIDGE: 1, MULTIFUNCTION: 0x80 } as const

/** Capability ids. */
export const CAP = { PM: 0x01, VPD: 0x03, MSI: 0x05, EXPRESS: 0x10, MSIX: 0x11, AF: 0x13 } as const

/** Extended capability ids. */
export const EXT_CAP = {
  AER: 0x01,
  ACS: 0x0d,
  ARI: 0x0e,
  ATS: 0x0f,
  SRIOV: 0x10,
  PRI: 0x13,
  TPH: 0x17,
  LTR: 0x18,
  PASID: 0x1b,
  DPC: 0x1d,
  L1SS: 0x1e,
  PTM: 0x1f,
} as const

/** SR-IOV extended capability: offsets and bits. */
export const SRIOV = {
  CAPABILITIES: 0x04,
  CONTROL: 0x08,
  INITIAL_VFS: 0x0c,
  TOTAL_VFS: 0x0e,
  NUM_VFS: 0x10,
  LINK: 0x12,
  FIRST_OFFSET: 0x14,
  STRIDE: 0x16,
  VF_DEVICE: 0x1a,
  SUPPORTED_PAGES: 0x1c,
  SYSTEM_PAGES: 0x20,
  BAR0: 0x24,
  BYTES: 0x40,
  /** Bits of Control: VF Enable, VF Memory Space Enable, ARI Capable Hierarchy. */
  VFE: 0x01,
  MSE: 0x08,
  ARI: 0x10,
  /** Capabilities: VF Migration Capable. */
  VFM: 0x01,
} as const

/** Power management capability: offsets and bits. */
export const PM = {
  CAPABILITIES: 2,
  CONTROL: 4,
  D1_SUPPORT: 0x200,
  D2_SUPPORT: 0x400,
  PME_SUPPORT: 0xf800,
  STATE: 0x3,
  NO_SOFT_RESET: 0x8,
  PME_ENABLE: 0x100,
  PME_STATUS: 0x8000,
} as const

/** MSI capability: offsets and bits. The offsets of data and mask depend on `WIDE`. */
export const MSI = {
  FLAGS: 2,
  ADDRESS: 4,
  ADDRESS_HIGH: 8,
  ENABLE: 0x1,
  CAPABLE: 0xe,
  CONFIGURED: 0x70,
  WIDE: 0x80,
  MASKABLE: 0x100,
} as const

/** MSI-X capability: offsets and bits. */
export const MSIX = {
  FLAGS: 2,
  TABLE: 4,
  PBA: 8,
  SIZE: 0x7ff,
  MASK_ALL: 0x4000,
  ENABLE: 0x8000,
  BIR: 0x7,
  ENTRY_BYTES: 16,
  /** Vector control bit 0: the entry is masked. */
  ENTRY_MASKED: 0x1,
} as const

/** PCI Express capability: offsets and bits. */
export const EXPRESS = {
  FLAGS: 0x02,
  VERSION: 0x0f,
  SLOT: 0x100,
  DEVCAP: 0x04,
  DEVCAP_EXT_TAG: 0x20,
  DEVCAP_PHANTOM: 0x18,
  DEVCAP_FLR: 0x1000_0000,
  DEVCTL: 0x08,
  DEVCTL_RELAXED: 0x10,
  DEVCTL_PAYLOAD: 0xe0,
  DEVCTL_NO_SNOOP: 0x800,
  DEVCTL_READ_REQUEST: 0x7000,
  /** Initiate Function Level Reset; on a PCIe-to-PCI bridge: Bridge Configuration Retry Enable. */
  DEVCTL_FLR: 0x8000,
  DEVSTA: 0x0a,
  LNKCAP: 0x0c,
  LNKCAP_CLOCK_PM: 0x4_0000,
  LNKCAP_BANDWIDTH: 0x20_0000,
  LNKCTL: 0x10,
  LNKSTA: 0x12,
  SLTCTL: 0x18,
  SLTSTA: 0x1a,
  RTCTL: 0x1c,
  RTSTA: 0x20,
  DEVCTL2: 0x28,
  /** ARI Forwarding Enable. */
  DEVCTL2_ARI: 0x20,
  LNKCTL2: 0x30,
} as const

/** Device/Port types of the PCI Express capability. */
export const PORT = {
  ENDPOINT: 0x0,
  LEGACY_ENDPOINT: 0x1,
  ROOT_PORT: 0x4,
  UPSTREAM: 0x5,
  DOWNSTREAM: 0x6,
  PCIE_TO_PCI: 0x7,
  PCI_TO_PCIE: 0x8,
  RC_ENDPOINT: 0x9,
  RC_EVENT_COLLECTOR: 0xa,
} as const

/** Advanced Features capability (conventional function level reset). */
export const AF = { CAPABILITIES: 3, CONTROL: 4, FLR: 0x1, CAP_PENDING: 0x1, CAP_FLR: 0x2 } as const

/** ACS extended capability: offsets and bits, by the specification's mnemonics. */
export const ACS = {
  CAPABILITY: 4,
  CONTROL: 6,
  EGRESS_VECTOR: 8,
  /** Source Validation. */
  SV: 0x01,
  /** Translation Blocking. */
  TB: 0x02,
  /** P2P Request Redirect. */
  RR: 0x04,
  /** P2P Completion Redirect. */
  CR: 0x08,
  /** Upstream Forwarding. */
  UF: 0x10,
  /** P2P Egress Control. */
  EC: 0x20,
  /** Direct Translated P2P. */
  DT: 0x40,
} as const
