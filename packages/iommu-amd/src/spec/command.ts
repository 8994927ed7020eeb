/** Commands, 128 bits each: 48882 "Command Buffer". `COMMAND0` names fields of the first 64-bit word, `COMMAND1` of the second. */
import { field, type Field } from '@ioasis/core'

/** Values of `COMMAND0.Opcode`. */
export const OPCODE = {
  COMPLETION_WAIT: 1,
  INVALIDATE_DEVTAB_ENTRY: 2,
  INVALIDATE_IOMMU_PAGES: 3,
  INVALIDATE_IOTLB_PAGES: 4,
  INVALIDATE_INTERRUPT_TABLE: 5,
  PREFETCH_IOMMU_PAGES: 6,
  COMPLETE_PPR_REQUEST: 7,
  INVALIDATE_IOMMU_ALL: 8,
} as const
/** Bytes of a command as a shift. */
export const COMMAND_SHIFT = 4

/** The first word. */
export const COMMAND0: Readonly<
  Record<
    | 'Opcode'
    | 'Store'
    | 'Interrupt'
    | 'Flush'
    | 'DeviceId'
    | 'Pasid'
    | 'DomainId'
    | 'IotlbPasid_15_8'
    | 'MaxPend'
    | 'QueueId'
    | 'IotlbPasid_7_0'
    | 'IotlbPasid_19_16'
    | 'PprPasid'
    | 'PrefetchCount',
    Field
  >
> = {
  Opcode: field(63, 60),
  /** COMPLETION_WAIT: store the second word at bits 51:3, interrupt, wait for what was issued before to finish. */
  Store: field(0),
  Interrupt: field(1),
  Flush: field(2),
  DeviceId: field(15, 0),
  /** INVALIDATE_IOMMU_PAGES. */
  Pasid: field(19, 0),
  DomainId: field(47, 32),
  /** INVALIDATE_IOTLB_PAGES has its PASID in pieces. */
  IotlbPasid_15_8: field(23, 16),
  MaxPend: field(31, 24),
  QueueId: field(47, 32),
  IotlbPasid_7_0: field(55, 48),
  IotlbPasid_19_16: field(59, 56),
  /** COMPLETE_PPR_REQUEST, PREFETCH_IOMMU_PAGES. */
  PprPasid: field(51, 32),
  PrefetchCount: field(31, 24),
}
/** The second word; bits 63:12 are an address where the command has one. */
export const COMMAND1: Readonly<Record<'S' | 'PDE' | 'GN' | 'Type' | 'CompletionTag' | 'ResponseCode', Field>> = {
  /** The size is encoded in the address: its lowest 0 from bit 12 on is the highest bit inside the range. */
  S: field(0),
  /** Directory entries go, too. */
  PDE: field(1),
  /** Guest: address and PASID are the guest's. */
  GN: field(2),
  /** INVALIDATE_IOTLB_PAGES: what else the device is to drop. */
  Type: field(5, 4),
  /** COMPLETE_PPR_REQUEST: the request's group, and the answer. */
  CompletionTag: field(40, 32),
  ResponseCode: field(47, 44),
}
/** Values of `COMMAND1.ResponseCode`, PCI Express "Page Request Group Response Message". */
export const RESPONSE = { SUCCESS: 0, INVALID: 1, FAILURE: 15 } as const
/** An INVALIDATE_IOMMU_PAGES with S and this address names every page of a domain. */
export const ALL_PAGES = 0x7fff_ffff_ffff_f000n

/** Reserved bits of each command, `[word 0 low, word 0 high, word 1 low, word 1 high]` as int32; the opcode itself is left out. */
export const COMMAND_RESERVED: readonly (readonly [number, number, number, number])[] = [
  [0, 0, 0, 0],
  [0, 0x0ff0_0000, 0, 0],
  [0xffff << 16, 0x0fff_ffff, -1, -1],
  [0xfff << 20, 0x0fff_0000, 0xff8, 0],
  [0, 0, 0xfca, 0],
  [0xffff << 16, 0x0fff_ffff, -1, -1],
  [0xff << 16, 0x0ff0_0000, 0xfea, 0],
  [0xffff << 16, 0x0ff0_0000, ~0x4, 0xffff << 16],
  [-1, 0x0fff_ffff, -1, -1],
]
