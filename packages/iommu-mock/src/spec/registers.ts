/** Registers of the mock's units, 8 bytes each. */
export const REGISTER = {
  /** Where the device table lies; read and write. */
  DEVICE_TABLE: 0x0,
  /** The last fault; read only. */
  FAULT_IOVA: 0x8,
  FAULT_REQUESTER: 0x10,
  /** `ACCESS`. */
  FAULT_ACCESS: 0x18,
  FAULT_REASON: 0x20,
} as const
/** Bytes that a unit's registers take. */
export const REGISTERS_BYTES = 0x1000
