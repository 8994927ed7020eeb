/** What answers at a host-physical address: RAM, a window of registers, or RAM that lives elsewhere. */

import type { Hpa } from '../address.ts'

/** Access widths of one bus transaction, in bytes. */
export type AccessSize = 1 | 2 | 4 | 8

/** Registers behind a range of addresses. A wider or unaligned transfer is split into aligned accesses before it comes here. */
export interface MmioWindow {
  /** @param offset bytes from the start of the window, a multiple of `size` */
  load(offset: number, size: AccessSize): bigint
  /** @param value already cut to `size` bytes */
  store(offset: number, size: AccessSize, value: bigint): void
  /** The same for 4 bytes as an int32 word, where the window can do without a bigint. */
  loadWord?(offset: number): number
  storeWord?(offset: number, value: number): void
}

/**
 * RAM reached by copying: another process's memory, a file, a remote machine. It offers no views, may fail at any byte, and
 * must not call back into the host.
 */
export interface MemoryBacking {
  /**
   * @param offset bytes from the start of the region
   * @returns bytes copied; fewer than asked means: the next byte failed
   */
  read(offset: number, into: Uint8Array): number
  /** @returns bytes stored; fewer than given means: the next byte failed */
  write(offset: number, from: Uint8Array): number
}

/** How the caches of the CPUs answer a snooped access; absent on a host without a cache model. */
export interface Snoop {
  /** As `HostMemory.read`, with dirty lines in front of memory. */
  read(hpa: Hpa, into: Uint8Array): number
  /** As `HostMemory.write`, keeping the lines that CPUs hold equal to memory. */
  write(hpa: Hpa, from: Uint8Array): number
}

/** A mapped BAR. Its owner revokes it while memory decoding is off, in D3, during a reset, for ever after unplug. */
export interface TrappedWindow {
  readonly bytes: number
  /** @returns undefined when the access raises SIGBUS */
  load(offset: number, size: AccessSize): bigint | undefined
  /** @returns false when the access raises SIGBUS */
  store(offset: number, size: AccessSize, value: bigint): boolean
  /** Where it lies physically, for those who map it again (a type1 mapping of a BAR); undefined while revoked. */
  readonly hpa: Hpa | undefined
  /** Tells of revocation and return. @returns stops telling */
  onRevoke(listener: (revoked: boolean) => void): () => void
}
