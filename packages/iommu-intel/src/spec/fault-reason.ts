/** Fault reasons and their meaning, Intel VT-d r4.1 "Fault Reason Encodings"; cross-checked with drivers/iommu/intel/dmar.c. */

/** Reasons of legacy mode, and those that concern the translation mode itself. */
export const REASON = {
  ROOT_NOT_PRESENT: 0x01,
  CONTEXT_NOT_PRESENT: 0x02,
  CONTEXT_INVALID: 0x03,
  BEYOND_WIDTH: 0x04,
  WRITE: 0x05,
  READ: 0x06,
  TABLE_UNREADABLE: 0x07,
  ROOT_UNREADABLE: 0x08,
  CONTEXT_UNREADABLE: 0x09,
  ROOT_RESERVED: 0x0a,
  CONTEXT_RESERVED: 0x0b,
  PTE_RESERVED: 0x0c,
  BLOCKED_TYPE: 0x0d,
  INTERRUPT_OUTPUT: 0x0e,
  MODE_INVALID: 0x30,
  MODE_PASID: 0x31,
} as const

const TEXT: Readonly<Record<number, string>> = {
  0x01: 'the root entry of the bus is not present',
  0x02: 'the context entry of the function is not present',
  0x03: 'the context entry is programmed wrongly: address width, translation type, or a top table that cannot be read',
  0x04: 'the address lies beyond the width of the context entry or of the unit',
  0x05: 'write or atomic without write permission',
  0x06: 'read or atomic without read permission',
  0x07: 'a table that a second-stage entry points to cannot be read',
  0x08: 'the root table cannot be read',
  0x09: 'the context table cannot be read',
  0x0a: 'a reserved bit of the root entry is set',
  0x0b: 'a reserved bit of the context entry is set',
  0x0c: 'a reserved bit of a second-stage entry is set',
  0x0d: 'the translation type of the context entry blocks translated and translation requests',
  0x0e: 'the translation leads into the interrupt address range',
  0x20: 'a reserved bit of the interrupt request is set',
  0x21: 'the interrupt index lies beyond the interrupt remapping table',
  0x22: 'the interrupt remapping entry is not present',
  0x23: 'the interrupt remapping table cannot be read',
  0x24: 'a reserved bit of the interrupt remapping entry is set',
  0x25: 'a compatibility-format interrupt is blocked',
  0x26: 'the source id does not match the interrupt remapping entry',
  0x30: 'the translation table mode in the root table address is not one this unit has',
  0x31: 'a request with PASID while the translation table mode is legacy',
  0x32: 'a page group request while the translation table mode is legacy',
}

/** A fault reason in words. */
export const reasonText = (reason: number): string => TEXT[reason] ?? `reason 0x${reason.toString(16)}`
