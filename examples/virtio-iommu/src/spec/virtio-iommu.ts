/**
 * What device and driver agree on: VIRTIO 1.2 "5.13 IOMMU Device", include/uapi/linux/virtio_iommu.h. The window is made after
 * "4.2.2 MMIO Device Register Layout": two queues stand side by side in place of a selector, 64-bit fields are whole.
 */
import { bytes, struct, u16, u32, u64, u8 } from '@ioasis/core'

const ALL = 0xffff_ffff_ffff_ffffn
/** What the device offers, and a driver must accept: VIRTIO_F_VERSION_1 and all of "5.13.3 Feature bits" but VIRTIO_IOMMU_F_BYPASS, which BYPASS_CONFIG supersedes. */
export const FEATURES = 0x1_0000_0077n
/** The window; the device's own configuration, as "5.13.4 Device configuration layout" has it, begins at 0x100. */
export const REGISTERS = {
  DEVICE_FEATURES: { offset: 0x10, size: 8, reset: FEATURES },
  DRIVER_FEATURES: { offset: 0x18, size: 8, rw: ALL },
  /** NEEDS_RESET is the device's own. */
  STATUS: { offset: 0x20, rw: 0x8f },
  QUEUE_NOTIFY: { offset: 0x28, rw: 0xffff },
  REQUEST_READY: { offset: 0x40, rw: 1 },
  REQUEST_DESC: { offset: 0x48, size: 8, rw: ALL },
  REQUEST_DRIVER: { offset: 0x50, size: 8, rw: ALL },
  REQUEST_DEVICE: { offset: 0x58, size: 8, rw: ALL },
  EVENT_READY: { offset: 0x60, rw: 1 },
  EVENT_DESC: { offset: 0x68, size: 8, rw: ALL },
  EVENT_DRIVER: { offset: 0x70, size: 8, rw: ALL },
  EVENT_DEVICE: { offset: 0x78, size: 8, rw: ALL },
  PAGE_SIZE_MASK: { offset: 0x100, size: 8, reset: 0xffff_ffff_ffff_f000n },
  INPUT_FIRST: { offset: 0x108, size: 8 },
  INPUT_LAST: { offset: 0x110, size: 8, reset: 0xffff_ffff_ffffn },
  DOMAIN_FIRST: { offset: 0x118 },
  DOMAIN_LAST: { offset: 0x11c, reset: 0xffff },
  PROBE_SIZE: { offset: 0x120, reset: 64 },
  BYPASS: { offset: 0x124, rw: 1, reset: 1 },
} as const
/** One of them, and a queue as they are named. */
export type RegisterName = keyof typeof REGISTERS
export type QueueName = 'REQUEST' | 'EVENT'
/** Bytes of the window, entries of a queue, and bytes of a buffer's parts at most. */
export const SIZE = { WINDOW: 0x1000, QUEUE: 256, PART: 0x1000 } as const
/** Bits of STATUS, "2.1 Device Status Field". */
export const DEVICE = { ACKNOWLEDGE: 1, DRIVER: 2, DRIVER_OK: 4, FEATURES_OK: 8, NEEDS_RESET: 64 } as const
/** A descriptor and its flags, "2.7.5 The Virtqueue Descriptor Table". */
export const DESCRIPTOR = struct('virtq_desc', { hpa: u64, bytes: u32, flags: u16, next: u16 })
export const DESC = { NEXT: 1, WRITE: 2 } as const
/** Requests, "5.13.6 Device operations". */
export const TYPE = { ATTACH: 1, DETACH: 2, MAP: 3, UNMAP: 4, PROBE: 5 } as const
/** How a request ended; the driver has an errno for those that this device never says, too. */
export const STATUS = { OK: 0, IOERR: 1, UNSUPP: 2, INVAL: 4, RANGE: 5, NOENT: 6 } as const
/** Flags of ATTACH and of MAP; those of a fault are READ and WRITE likewise. */
export const FLAG = { BYPASS: 1, READ: 1, WRITE: 2, MMIO: 4, FAULT_ADDRESS: 0x100 } as const
/** Reasons of a fault; 0 is unknown. */
export const REASON = { DOMAIN: 1, MAPPING: 2 } as const
/** Reserved bytes have a name where alignment alone does not make them. */
const head = { type: u8, domain: u32 }
const range = { ...head, first: u64, last: u64 }
/** Requests. The device reads all but the tail, and writes that; its first byte is the status. */
export const ATTACH = struct('req_attach', { ...head, endpoint: u32, flags: u32, zero: u32, tail: u32 })
export const DETACH = struct('req_detach', { ...head, endpoint: u32, zero: bytes(8), tail: u32 })
export const MAP = struct('req_map', { ...range, target: u64, flags: u32, tail: u32 })
export const UNMAP = struct('req_unmap', { ...range, zero: u32, tail: u32 })
/** Between what is read of it and the tail the device writes PROBE_SIZE bytes of properties. */
export const PROBE = struct('req_probe', { type: u8, endpoint: u32, zero: bytes(64), tail: u32 })
export const TAIL_BYTES = 4
/** A property, "5.13.6.7 PROBE properties": memory that must not be mapped. Its length leaves out HEAD_BYTES. */
export const RESV_MEM = struct('probe_resv_mem', { type: u16, length: u16, subtype: u8, first: u64, last: u64 })
export const PROPERTY = { RESV_MEM: 1, HEAD_BYTES: 4, MSI: 1 } as const
/** An event, "5.13.6.8 Fault reporting". Of its head bits 31:8 are reserved, and 7:0 the reason. */
export const FAULT = struct('fault', { head: u32, flags: u32, endpoint: u32, address: u64 })
