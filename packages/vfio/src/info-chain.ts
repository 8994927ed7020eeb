/**
 * Answers that grow by a chain of capabilities: when the caller's room is too small they only say how much they need.
 * drivers/vfio/vfio_main.c vfio_get_region_info, vfio_pci_ioctl_get_info.
 */
import { appendCapabilities, type Caller, type InfoCapability, mayFail, type Uva, writeUser } from '@ioasis/core'

/** Members of an info struct that tell of the chain. */
export interface ChainFields {
  readonly argsz: number
  /** Offset of the first capability; 0: it did not fit, or there is none. */
  readonly cap_offset: number
}

/**
 * Writes the chain behind the struct if there is room.
 * @param struct bytes of the info struct
 * @param argsz what the caller said
 * @throws UapiError EFAULT, ENOMEM
 */
export function writeChain(
  caller: Caller,
  arg: Uva,
  struct: number,
  argsz: number,
  capabilities: readonly InfoCapability[],
): ChainFields {
  if (capabilities.length === 0) return { argsz, cap_offset: 0 }
  mayFail(caller, 'vfio_info_cap')
  const { bytes, offset } = appendCapabilities(new Uint8Array(struct), capabilities)
  if (argsz < bytes.length) return { argsz: bytes.length, cap_offset: 0 }
  writeUser(caller, arg + BigInt(struct), bytes.subarray(struct), 'vfio_info_cap')
  return { argsz, cap_offset: offset }
}
