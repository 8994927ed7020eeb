/**
 * Fields of the two capability registers: Intel VT-d r4.1 "11.4.2 Capability Register" and "11.4.3 Extended Capability
 * Register". FRO is split where it crosses bit 32.
 */
import { field, type Field } from '@ioasis/core'

type CapField =
  | 'ND'
  | 'AFL'
  | 'RWBF'
  | 'PLMR'
  | 'PHMR'
  | 'CM'
  | 'SAGAW'
  | 'MGAW'
  | 'ZLR'
  | 'FRO_LO'
  | 'FRO_HI'
  | 'SSLPS'
  | 'PSI'
  | 'NFR'
  | 'MAMV'
  | 'DWD'
  | 'DRD'
  | 'FS1GP'
  | 'PI'
  | 'FS5LP'
  | 'ECMDS'
  | 'ESIRTPS'
  | 'ESRTPS'
type EcapField =
  | 'C'
  | 'QI'
  | 'DT'
  | 'IR'
  | 'EIM'
  | 'PT'
  | 'SC'
  | 'IRO'
  | 'MHMV'
  | 'MTS'
  | 'NEST'
  | 'PRS'
  | 'ERS'
  | 'SRS'
  | 'NWFS'
  | 'EAFS'
  | 'PSS'
  | 'PASID'
  | 'DIT'
  | 'PDS'
  | 'SMTS'
  | 'VCS'
  | 'SSADS'
  | 'SSTS'
  | 'FSTS'
  | 'SMPWCS'
  | 'RPS'

/** Capability Register, offset 0x08. */
export const CAP: Readonly<Record<CapField, Field>> = {
  /** Number of Domains: 2^(4 + 2n) domain ids. */
  ND: field(2, 0),
  AFL: field(3),
  /** Required Write-Buffer Flushing. */
  RWBF: field(4),
  PLMR: field(5),
  PHMR: field(6),
  /** Caching Mode: entries that are not present may be cached as well. */
  CM: field(7),
  /** Supported Adjusted Guest Address Widths: bit n = a walk of n + 2 levels. */
  SAGAW: field(12, 8),
  /** Maximum Guest Address Width, less one. */
  MGAW: field(21, 16),
  /** Zero Length Read. */
  ZLR: field(22),
  /** Fault-recording Register offset in units of 16 bytes: bits 7:0 and 9:8. */
  FRO_LO: field(31, 24),
  FRO_HI: field(33, 32),
  /** Second Stage Large Page Support: bit 0 = 2 MiB, bit 1 = 1 GiB. */
  SSLPS: field(37, 34),
  /** Page Selective Invalidation. */
  PSI: field(39),
  /** Number of Fault-recording Registers, less one. */
  NFR: field(47, 40),
  /** Maximum Address Mask Value of a page-selective invalidation. */
  MAMV: field(53, 48),
  /** Write Draining, Read Draining. */
  DWD: field(54),
  DRD: field(55),
  /** First Stage 1-GByte Page Support. */
  FS1GP: field(56),
  /** Posted Interrupts Support. */
  PI: field(59),
  /** First Stage 5-level Paging Support. */
  FS5LP: field(60),
  ECMDS: field(61),
  /** Enhanced Set Interrupt Remap Table Pointer, Enhanced Set Root Table Pointer: setting it empties the caches. */
  ESIRTPS: field(62),
  ESRTPS: field(63),
}

/** Extended Capability Register, offset 0x10. */
export const ECAP: Readonly<Record<EcapField, Field>> = {
  /** Page-walk Coherency: table reads snoop the CPUs' caches. */
  C: field(0),
  /** Queued Invalidation. */
  QI: field(1),
  /** Device-TLB. */
  DT: field(2),
  /** Interrupt Remapping; Extended Interrupt Mode. */
  IR: field(3),
  EIM: field(4),
  /** Pass Through. */
  PT: field(6),
  /** Snoop Control. */
  SC: field(7),
  /** IOTLB Register Offset in units of 16 bytes. */
  IRO: field(17, 8),
  MHMV: field(23, 20),
  MTS: field(25),
  NEST: field(26),
  PRS: field(29),
  ERS: field(30),
  SRS: field(31),
  NWFS: field(33),
  EAFS: field(34),
  /** PASID Size Supported, less one. */
  PSS: field(39, 35),
  PASID: field(40),
  DIT: field(41),
  PDS: field(42),
  /** Scalable Mode Translation Support. */
  SMTS: field(43),
  VCS: field(44),
  /** Second-stage Accessed/Dirty Support. */
  SSADS: field(45),
  /** Second-stage, First-stage Translation Support. */
  SSTS: field(46),
  FSTS: field(47),
  /** Scalable-Mode Page-walk Coherency Support. */
  SMPWCS: field(48),
  RPS: field(49),
}
