/** Ids of capabilities, include/uapi/linux/pci_regs.h PCI_CAP_ID_* and PCI_EXT_CAP_ID_*. Those not named here are hidden. */

/** In the first 256 bytes. */
export const CAPABILITY = {
  PM: 0x01,
  AGP: 0x02,
  VPD: 0x03,
  MSI: 0x05,
  PCIX: 0x07,
  HT: 0x08,
  VENDOR: 0x09,
  EXPRESS: 0x10,
  MSIX: 0x11,
  SATA: 0x12,
  AF: 0x13,
} as const

/** From offset 256 on. */
export const EXTENDED = {
  AER: 0x01,
  VC: 0x02,
  DSN: 0x03,
  POWER_BUDGET: 0x04,
  MFVC: 0x08,
  VC9: 0x09,
  VENDOR: 0x0b,
  ACS: 0x0d,
  ARI: 0x0e,
  ATS: 0x0f,
  SRIOV: 0x10,
  MULTICAST: 0x12,
  PRI: 0x13,
  REBAR: 0x15,
  DPA: 0x16,
  TPH: 0x17,
  LTR: 0x18,
  DVSEC: 0x23,
} as const
