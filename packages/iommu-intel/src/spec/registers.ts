/** Register offsets and fields, Intel VT-d r4.1 "Register Descriptions". Offsets in bytes; fields of 64-bit registers by bit number. */
import { field, type Field } from '@ioasis/core'

/** Registers at fixed offsets. IVA and IOTLB lie at ECAP.IRO, the fault records at CAP.FRO. */
export const REG: {
  readonly VER: 0x00
  readonly CAP: 0x08
  readonly ECAP: 0x10
  readonly GCMD: 0x18
  readonly GSTS: 0x1c
  readonly RTADDR: 0x20
  readonly CCMD: 0x28
  readonly FSTS: 0x34
  readonly FECTL: 0x38
  readonly FEDATA: 0x3c
  readonly FEADDR: 0x40
  readonly FEUADDR: 0x44
  readonly PMEN: 0x64
  readonly PLMBASE: 0x68
  readonly PLMLIMIT: 0x6c
  readonly PHMBASE: 0x70
  readonly PHMLIMIT: 0x78
  readonly IQH: 0x80
  readonly IQT: 0x88
  readonly IQA: 0x90
  readonly ICS: 0x9c
  readonly IECTL: 0xa0
  readonly IEDATA: 0xa4
  readonly IEADDR: 0xa8
  readonly IEUADDR: 0xac
  readonly IQERCD: 0xb0
  readonly IRTA: 0xb8
  readonly PQH: 0xc0
  readonly PQT: 0xc8
  readonly PQA: 0xd0
  readonly PRS: 0xdc
  readonly PECTL: 0xe0
  readonly PEDATA: 0xe4
  readonly PEADDR: 0xe8
  readonly PEUADDR: 0xec
  readonly MTRRCAP: 0x100
} = {
  VER: 0x00,
  CAP: 0x08,
  ECAP: 0x10,
  GCMD: 0x18,
  GSTS: 0x1c,
  RTADDR: 0x20,
  CCMD: 0x28,
  FSTS: 0x34,
  FECTL: 0x38,
  FEDATA: 0x3c,
  FEADDR: 0x40,
  FEUADDR: 0x44,
  PMEN: 0x64,
  PLMBASE: 0x68,
  PLMLIMIT: 0x6c,
  PHMBASE: 0x70,
  PHMLIMIT: 0x78,
  IQH: 0x80,
  IQT: 0x88,
  IQA: 0x90,
  ICS: 0x9c,
  IECTL: 0xa0,
  IEDATA: 0xa4,
  IEADDR: 0xa8,
  IEUADDR: 0xac,
  IQERCD: 0xb0,
  IRTA: 0xb8,
  PQH: 0xc0,
  PQT: 0xc8,
  PQA: 0xd0,
  PRS: 0xdc,
  PECTL: 0xe0,
  PEDATA: 0xe4,
  PEADDR: 0xe8,
  PEUADDR: 0xec,
  MTRRCAP: 0x100,
}

/** Bytes of a unit's register window. */
export const REGISTER_BYTES = 0x1000

/** Global Command and Global Status share their bit positions (int32 masks). SRTP, SFL, WBF and SIRTP are one-shots. */
export const GCMD: {
  readonly TE: number
  readonly SRTP: number
  readonly SFL: number
  readonly EAFL: number
  readonly WBF: number
  readonly QIE: number
  readonly IRE: number
  readonly SIRTP: number
  readonly CFI: number
} = {
  /** Translation Enable. */
  TE: 1 << 31,
  /** Set Root Table Pointer. */
  SRTP: 1 << 30,
  /** Set Fault Log, Enable Advanced Fault Logging. */
  SFL: 1 << 29,
  EAFL: 1 << 28,
  /** Write Buffer Flush. */
  WBF: 1 << 27,
  /** Queued Invalidation Enable. */
  QIE: 1 << 26,
  /** Interrupt Remapping Enable. */
  IRE: 1 << 25,
  /** Set Interrupt Remap Table Pointer. */
  SIRTP: 1 << 24,
  /** Compatibility Format Interrupts are let through. */
  CFI: 1 << 23,
}

/** RTADDR_REG: Translation Table Mode; bits 63:12 are the table. */
export const RTADDR: { readonly TTM: Field } = { TTM: field(11, 10) }
/** Values of RTADDR.TTM. */
export const TTM = { LEGACY: 0, SCALABLE: 1, RESERVED: 2, ABORT: 3 } as const

/** CCMD_REG: invalidation of the context cache by register. */
export const CCMD: {
  readonly DID: Field
  readonly SID: Field
  readonly FM: Field
  readonly CAIG: Field
  readonly CIRG: Field
  readonly ICC: Field
} = {
  DID: field(15, 0),
  SID: field(31, 16),
  /** Function Mask: function bits of SID that are not compared (0, 1, 2 or 3 of them, from the top). */
  FM: field(33, 32),
  /** Actual granularity, left by the unit; 0: refused. */
  CAIG: field(60, 59),
  /** Requested granularity. */
  CIRG: field(62, 61),
  /** Set by software to start, cleared by the unit when done. */
  ICC: field(63),
}

/** IOTLB_REG: invalidation of the IOTLB by register. */
export const IOTLB: {
  readonly DID: Field
  readonly DW: Field
  readonly DR: Field
  readonly IAIG: Field
  readonly IIRG: Field
  readonly IVT: Field
} = {
  DID: field(47, 32),
  /** Drain writes, drain reads. */
  DW: field(48),
  DR: field(49),
  IAIG: field(58, 57),
  IIRG: field(61, 60),
  IVT: field(63),
}
/** Granularity of an invalidation: of CCMD, IOTLB and their descriptors. For the context cache `SELECTIVE` names devices, else pages. */
export const GRANULARITY = { RESERVED: 0, GLOBAL: 1, DOMAIN: 2, SELECTIVE: 3 } as const

/** IVA_REG; bits 63:12 are the first page. */
export const IVA: { readonly AM: Field; readonly IH: Field } = {
  /** Address Mask: 2^AM pages, naturally aligned. */
  AM: field(5, 0),
  /** Invalidation Hint: only leaves changed. */
  IH: field(6),
}

/** FSTS_REG. */
export const FSTS: {
  readonly PFO: Field
  readonly PPF: Field
  readonly IQE: Field
  readonly ICE: Field
  readonly ITE: Field
  readonly FRI: Field
} = {
  /** Primary Fault Overflow: a fault was lost; nothing is recorded until software writes 1. */
  PFO: field(0),
  /** Primary Pending Fault: some fault record has F set. */
  PPF: field(1),
  /** Invalidation Queue Error, Completion Error, Time-out Error. */
  IQE: field(4),
  ICE: field(5),
  ITE: field(6),
  /** Index of the oldest pending fault record; valid while PPF is set. */
  FRI: field(15, 8),
}

/** FECTL_REG, IECTL_REG and PECTL_REG. */
export const EVENT_CONTROL: { readonly IP: Field; readonly IM: Field } = {
  /** Interrupt Pending: held back by the mask. */
  IP: field(30),
  /** Interrupt Mask. */
  IM: field(31),
}

/** Fault Recording Register: low word 63:12 is the page; these are fields of its high 64-bit word. */
export const FRCD: {
  readonly SID: Field
  readonly T2: Field
  readonly PRIV: Field
  readonly EXE: Field
  readonly PP: Field
  readonly FR: Field
  readonly PV: Field
  readonly AT: Field
  readonly T1: Field
  readonly F: Field
} = {
  SID: field(15, 0),
  /** Type, with T1: 00 write, 01 page request, 10 read, 11 atomic (T1 first). */
  T2: field(28),
  PRIV: field(29),
  EXE: field(30),
  /** PASID Present. */
  PP: field(31),
  /** Fault Reason. */
  FR: field(39, 32),
  /** PASID Value. */
  PV: field(59, 40),
  /** Address Type: 00 untranslated, 01 translation request, 10 translated. */
  AT: field(61, 60),
  T1: field(62),
  /** Fault: the record is valid; software writes 1 to free it. */
  F: field(63),
}
/** Values of FRCD.AT. */
export const ADDRESS_TYPE = { UNTRANSLATED: 0, TRANSLATION: 1, TRANSLATED: 2 } as const

/** IQA_REG; bits 63:12 are the queue. */
export const IQA: { readonly QS: Field; readonly DW: Field } = {
  /** Queue Size: 2^QS pages of 4 KiB. */
  QS: field(2, 0),
  /** Descriptor Width: 0 for 128 bits, 1 for 256. */
  DW: field(11),
}
/** IQT_REG and IQH_REG: byte offset into the queue in bits 18:4. */
export const IQ_OFFSET_MASK = 0x7fff0

/** IQERCD_REG.IQEI: why the queue stopped. */
export const IQEI = {
  NONE: 0,
  TAIL: 1,
  FETCH: 2,
  TYPE: 3,
  RESERVED: 4,
  PROGRAMMING: 5,
  STATUS_WRITE: 6,
} as const

/** ICS_REG: Invalidation Wait descriptor Complete. */
export const ICS: { readonly IWC: Field } = { IWC: field(0) }
/** PMEN_REG. */
export const PMEN: { readonly PRS: Field; readonly EPM: Field } = { PRS: field(0), EPM: field(31) }
