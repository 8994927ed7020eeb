/** Event log entries, 128 bits each: 48882 "Event Log", "Event Log Common Header". Fields are of the first word; the second is an address. */
import { field, type Field } from '@ioasis/core'

/** Values of `EVENT.Code`. A unit's fault reason is one of them, with `EVENT` flags above it: see `reasonText`. */
export const EVENT_CODE = {
  ILLEGAL_DEV_TABLE_ENTRY: 1,
  IO_PAGE_FAULT: 2,
  DEV_TAB_HARDWARE_ERROR: 3,
  PAGE_TAB_HARDWARE_ERROR: 4,
  ILLEGAL_COMMAND_ERROR: 5,
  COMMAND_HARDWARE_ERROR: 6,
  IOTLB_INV_TIMEOUT: 7,
  INVALID_DEVICE_REQUEST: 8,
  INVALID_PPR_REQUEST: 9,
  EVENT_COUNTER_ZERO: 10,
  GUEST_EVENT_FAULT: 11,
  VIOMMU_HARDWARE_ERROR: 12,
  RMP_PAGE_FAULT: 13,
  RMP_HARDWARE_ERROR: 14,
} as const
/** Names by code. */
export const EVENT_NAMES: readonly string[] = ['', ...Object.keys(EVENT_CODE)]

/** Fields of the first word. */
export const EVENT: Readonly<
  Record<
    | 'DeviceId'
    | 'Pasid_19_16'
    | 'DomainId'
    | 'Pasid_15_0'
    | 'PprPasid_15_0'
    | 'PprTag'
    | 'PprPasid_19_16'
    | 'Flags'
    | 'GN'
    | 'NX'
    | 'US'
    | 'I'
    | 'PR'
    | 'RW'
    | 'PE'
    | 'RZ'
    | 'TR'
    | 'HardwareType'
    | 'RequestType'
    | 'Code',
    Field
  >
> = {
  DeviceId: field(15, 0),
  Pasid_19_16: field(19, 16),
  /** With GN: bits 15:0 of the PASID. */
  DomainId: field(47, 32),
  Pasid_15_0: field(47, 32),
  /** INVALID_PPR_REQUEST has PASID and tag where a page request log entry has them; the tag is the group, and Last above it. */
  PprPasid_15_0: field(31, 16),
  PprTag: field(41, 32),
  PprPasid_19_16: field(45, 42),
  /** All flags, as Linux prints them. */
  Flags: field(59, 48),
  /** Guest: the address is a guest-virtual one, with a PASID. */
  GN: field(48),
  /** No Execute, User/Supervisor: the request asked for execution, for user privilege. */
  NX: field(49),
  US: field(50),
  /** Interrupt request. */
  I: field(51),
  /** The entry was present. */
  PR: field(52),
  /** The request was a write. */
  RW: field(53),
  /** Permission error. */
  PE: field(54),
  /** A reserved bit, or an impossible value, was found. */
  RZ: field(55),
  /** The request was an ATS translation request. */
  TR: field(56),
  /** Hardware errors, see `HARDWARE_ERROR`. */
  HardwareType: field(58, 57),
  /** INVALID_DEVICE_REQUEST, see `DEVICE_REQUEST`. */
  RequestType: field(59, 57),
  Code: field(63, 60),
}
/** Flags of an event, as a 12-bit number: `EVENT.Flags`. */
export const EVENT_FLAG = {
  GN: 0x001,
  NX: 0x002,
  US: 0x004,
  I: 0x008,
  PR: 0x010,
  RW: 0x020,
  PE: 0x040,
  RZ: 0x080,
  TR: 0x100,
} as const
/** Values of `EVENT.HardwareType`. */
export const HARDWARE_ERROR = { MASTER_ABORT: 1, TARGET_ABORT: 2, DATA_ERROR: 3 } as const
/** The flag bits of a hardware error that comes of an address where nothing answers. */
export const MASTER_ABORTED: number = HARDWARE_ERROR.MASTER_ABORT << 9
/** Values of `EVENT.RequestType`. */
export const DEVICE_REQUEST = {
  /** A read, or a non-posted write, in the interrupt address range. */
  INTERRUPT_READ: 0,
  /** A pretranslated request of a function that may not use ATS. */
  PRETRANSLATED: 1,
  PORT_IO: 2,
  SYSTEM_MANAGEMENT: 3,
  INTERRUPT_RANGE: 4,
  /** An interrupt that the controls of the DTE block. */
  INTERRUPT_BLOCKED: 5,
  SYSTEM_MANAGEMENT_BLOCKED: 6,
} as const
