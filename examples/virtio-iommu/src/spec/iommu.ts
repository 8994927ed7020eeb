/** What the IOMMU device and its driver agree on. VIRTIO 1.2 "5.13 IOMMU Device", include/uapi/linux/virtio_iommu.h. */
import { bytes, struct, u16, u32, u64, u8 } from '@ioasis/core'

/** Bits of features, "5.13.3 Feature bits"; what the others offer needs no question. */
export const FEATURE = { MAP_UNMAP: 1 << 2, MMIO: 1 << 5, BYPASS_CONFIG: 1 << 6 } as const
/** Requests, "5.13.6 Device operations". */
export const TYPE = { ATTACH: 1, DETACH: 2, MAP: 3, UNMAP: 4, PROBE: 5 } as const
/** How a request ended. */
export const STATUS = {
  OK: 0,
  IOERR: 1,
  UNSUPP: 2,
  DEVERR: 3,
  INVAL: 4,
  RANGE: 5,
  NOENT: 6,
  FAULT: 7,
  NOMEM: 8,
} as const
/** Flags of ATTACH and of MAP; those of a fault are READ and WRITE likewise. */
export const FLAG = { BYPASS: 1, READ: 1, WRITE: 2, MMIO: 4, FAULT_ADDRESS: 0x100 } as const
/** Reasons of a fault. */
export const REASON = { UNKNOWN: 0, DOMAIN: 1, MAPPING: 2 } as const

const head = { type: u8, reserved: bytes(3), domain: u32 }
const range = { ...head, first: u64, last: u64 }
/** Requests. The device reads all but the tail, and writes that; its first byte is the status. */
export const ATTACH = struct('req_attach', { ...head, endpoint: u32, flags: u32, zero: u32, tail: u32 })
export const DETACH = struct('req_detach', { ...head, endpoint: u32, zero: bytes(8), tail: u32 })
export const MAP = struct('req_map', { ...range, target: u64, flags: u32, tail: u32 })
export const UNMAP = struct('req_unmap', { ...range, zero: u32, tail: u32 })
/** Between what is read of it and the tail the device writes PROBE_SIZE bytes of properties. */
export const PROBE = struct('req_probe', { type: u8, reserved: bytes(3), endpoint: u32, zero: bytes(64), tail: u32 })
export const TAIL_BYTES = 4

const place = { subtype: u8, reserved: bytes(3), first: u64, last: u64 }
/** A property, "5.13.6.7 PROBE properties": memory that must not be mapped. Its length leaves out HEAD_BYTES. */
export const RESV_MEM = struct('probe_resv_mem', { type: u16, length: u16, ...place })
export const PROPERTY = { RESV_MEM: 1, HEAD_BYTES: 4, MSI: 1 } as const
const cause = { flags: u32, endpoint: u32, zero2: u32, address: u64 }
/** An event, "5.13.6.8 Fault reporting". */
export const FAULT = struct('fault', { reason: u8, zero: bytes(3), ...cause })
