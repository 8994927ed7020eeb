/**
 * What every virtio device and driver agree on, VIRTIO 1.2 "2.7 Split Virtqueues", "2.1 Device Status Field". The window is made
 * after "4.2.2 MMIO Device Register Layout": two queues stand side by side in place of a selector, and 64-bit fields are whole.
 */
const ALL = 0xffff_ffff_ffff_ffffn

/** The window; the device's own configuration, as "5.13.4 Device configuration layout" has it, begins at 0x100. */
export const REGISTERS = {
  MAGIC: { offset: 0x00, reset: 0x7472_6976 },
  VERSION: { offset: 0x04, reset: 2 },
  DEVICE_ID: { offset: 0x08, reset: 23 },
  /** VIRTIO_F_VERSION_1 and all of `FEATURE`. */
  DEVICE_FEATURES: { offset: 0x10, size: 8, reset: 0x1_0000_0077n },
  DRIVER_FEATURES: { offset: 0x18, size: 8, rw: ALL },
  STATUS: { offset: 0x20, rw: 0xff },
  INTERRUPT_STATUS: { offset: 0x24, rw1c: 1 },
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
/** One of them. */
export type RegisterName = keyof typeof REGISTERS
/** Bytes of the window; entries of a queue. */
export const SIZE = { WINDOW: 0x1000, QUEUE: 256 } as const
/** A queue as its registers are named. */
export type QueueName = 'REQUEST' | 'EVENT'

/** Bits of STATUS. */
export const STATUS = { ACKNOWLEDGE: 1, DRIVER: 2, DRIVER_OK: 4, FEATURES_OK: 8, NEEDS_RESET: 64 } as const
/** Flags of a descriptor. */
export const DESC = { NEXT: 1, WRITE: 2 } as const
