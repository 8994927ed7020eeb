/** Descriptors of the invalidation queue, Intel VT-d r4.1 "Queued Invalidation Interface". Fields by 64-bit word of the descriptor. */
import { field, type Field } from '@ioasis/core'

/** Descriptor type: bits 3:0 of the first word, with bits 11:9 above them (all zero so far). */
export const DESCRIPTOR = {
  CONTEXT: 0x1,
  IOTLB: 0x2,
  DEVICE_TLB: 0x3,
  INTERRUPT_ENTRY: 0x4,
  WAIT: 0x5,
  PASID_IOTLB: 0x6,
  PASID_CACHE: 0x7,
  PASID_DEVICE_TLB: 0x8,
  PAGE_GROUP_RESPONSE: 0x9,
} as const
/** First word of any descriptor. */
export const DESCRIPTOR_TYPE: { readonly LOW: Field; readonly HIGH: Field } = { LOW: field(3, 0), HIGH: field(11, 9) }

/** Context-cache Invalidate, first word. */
export const CONTEXT_INV: { readonly G: Field; readonly DID: Field; readonly SID: Field; readonly FM: Field } = {
  G: field(5, 4),
  DID: field(31, 16),
  SID: field(47, 32),
  FM: field(49, 48),
}
/** IOTLB Invalidate: first word; in the second AM [5:0], IH [6], address [63:12]. */
export const IOTLB_INV: { readonly G: Field; readonly DW: Field; readonly DR: Field; readonly DID: Field } = {
  G: field(5, 4),
  DW: field(6),
  DR: field(7),
  DID: field(31, 16),
}
/** Invalidation Wait: first word; the second is the status address [63:2]. */
export const WAIT: {
  readonly IF: Field
  readonly SW: Field
  readonly FN: Field
  readonly PD: Field
  readonly DATA: Field
} = {
  /** Interrupt when complete. */
  IF: field(4),
  /** Write DATA to the status address. */
  SW: field(5),
  /** Fence: later descriptors wait for this one. */
  FN: field(6),
  /** Drain page requests. */
  PD: field(7),
  DATA: field(63, 32),
}

/**
 * Bits that must be zero, as `[low, high]` int32 words of each of the descriptor's first two 64-bit words. In a queue of
 * 256-bit descriptors the other two words are reserved wherever a type is listed here.
 */
export const RESERVED: Readonly<Record<number, readonly [readonly [number, number], readonly [number, number]]>> = {
  [DESCRIPTOR.CONTEXT]: [
    [0x0000_f1c0, 0xfffc_0000 | 0],
    [-1, -1],
  ],
  [DESCRIPTOR.IOTLB]: [
    [0x0000_f100, -1],
    [0x0000_0f80, 0],
  ],
  [DESCRIPTOR.DEVICE_TLB]: [
    [0xffe0_01f0 | 0, 0x000f_0000],
    [0x0000_0ffe, 0],
  ],
  [DESCRIPTOR.INTERRUPT_ENTRY]: [
    [0x07ff_f1e0, 0xffff_0000 | 0],
    [-1, -1],
  ],
  [DESCRIPTOR.WAIT]: [
    [0xffff_f100 | 0, 0],
    [0x0000_0003, 0],
  ],
  [DESCRIPTOR.PASID_IOTLB]: [
    [0x0000_f1c0, 0xfff0_0000 | 0],
    [0x0000_0f80, 0],
  ],
  [DESCRIPTOR.PASID_CACHE]: [
    [0x0000_f1c0, 0xfff0_0000 | 0],
    [-1, -1],
  ],
  [DESCRIPTOR.PASID_DEVICE_TLB]: [
    [0, 0],
    [0x0000_07fe, 0],
  ],
}
