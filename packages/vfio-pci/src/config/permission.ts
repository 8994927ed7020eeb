/**
 * How the bytes of one capability are read and written by a user: which bits he sees from a copy kept for him, which he may
 * change, and what a write does besides. Facts: drivers/vfio/pci/vfio_pci_config.c struct perm_bits and its default readers.
 */
import type { PciFunction } from '@ioasis/core'

/** Bytes of one access: chunks never cross a dword or a capability. */
export type Count = 1 | 2 | 4

/** One access to a chunk. */
export interface Chunk {
  /** Offset in configuration space. */
  readonly pos: number
  readonly count: Count
  /** Offset in the capability. */
  readonly offset: number
}

/** What the rules work on. */
export interface ConfigTarget {
  readonly fn: PciFunction
  /** The user's copy (`vconfig`). */
  readonly virtual: Uint8Array
}

/** The rules of one capability. */
export interface Access<T extends ConfigTarget = ConfigTarget> {
  /** Gives `count` bytes, little-endian, unsigned. */
  readonly read: (target: T, chunk: Chunk) => number
  /** Absent: writes are lost. */
  readonly write?: (target: T, chunk: Chunk, value: number) => void
}

/** Bits of a capability, from its first byte on. */
export interface Permission {
  /** Bits that live in the user's copy; the others are the hardware's. */
  readonly virt: Uint8Array
  /** Bits he may write. */
  readonly write: Uint8Array
}

/** All bits of a field, whatever its width. */
export const ALL = 0xffff_ffff
/** No bits. */
export const NONE = 0

/** Declares bits: rows of `[offset, width in bytes, virtualised bits, writable bits]`. @param bytes of the capability, rounded up to a dword */
export function permission(
  bytes: number,
  rows: readonly (readonly [offset: number, width: Count, virt: number, write: number])[],
): Permission {
  const size = Math.ceil(bytes / 4) * 4
  const bits = { virt: new Uint8Array(size), write: new Uint8Array(size) }
  for (const [offset, width, virt, write] of rows) {
    put(bits.virt, offset, width, virt)
    put(bits.write, offset, width, write)
  }
  return bits
}

/** Reads 1, 2 or 4 bytes, little-endian, unsigned; bytes beyond the end are zero. */
export function get(bytes: Uint8Array, at: number, count: Count): number {
  let value = 0
  for (let i = count - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0)
  return value
}
/** Writes 1, 2 or 4 bytes, little-endian. */
export function put(bytes: Uint8Array, at: number, count: Count, value: number): void {
  for (let i = 0; i < count; i++) bytes[at + i] = (value >>> (8 * i)) & 0xff
}

const full = (count: Count): number => (count === 4 ? ALL : 2 ** (8 * count) - 1)

/** Virtualised bits from the copy, the others from the hardware (vfio_default_config_read). */
export function readBits({ virt }: Permission, { fn, virtual }: ConfigTarget, { pos, count, offset }: Chunk): number {
  const mine = get(virt, offset, count)
  const copy = get(virtual, pos, count)
  if (mine === full(count)) return copy
  return ((fn.readConfig(pos, count) & ~mine) | (copy & mine)) >>> 0
}

/** Writable bits go to the copy where they are virtualised, else to the hardware (vfio_default_config_write). */
export function writeBits(
  { virt, write }: Permission,
  { fn, virtual }: ConfigTarget,
  { pos, count, offset }: Chunk,
  value: number,
): void {
  const may = get(write, offset, count)
  const mine = get(virt, offset, count)
  const toCopy = may & mine
  if (toCopy) put(virtual, pos, count, (get(virtual, pos, count) & ~toCopy) | (value & toCopy))
  const toHardware = may & ~mine
  if (toHardware) fn.writeConfig(pos, count, ((fn.readConfig(pos, count) & ~toHardware) | (value & toHardware)) >>> 0)
}

/** The rules that follow from bits alone. */
export const byBits = (bits: Permission): Required<Access> => ({
  read: (target, chunk) => readBits(bits, target, chunk),
  write: (target, chunk, value) => writeBits(bits, target, chunk, value),
})

/** Read-only from the hardware, but for the list pointers, which are the copy's (vfio_direct_config_read). */
export const direct: Access = {
  read({ fn, virtual }, { pos, count, offset }) {
    const value = fn.readConfig(pos, count)
    if (pos >= 0x100) return offset < 4 ? get(virtual, pos, count) : value
    if (pos < 0x40) return value
    if (offset === 0 && count > 1) return ((value & ~0xffff) | get(virtual, pos, 2)) >>> 0
    return offset === 1 ? (virtual[pos] as number) : value
  },
}

/** The hardware's own bytes, unchecked: what lies in no capability, and vendor-specific capabilities. */
export const raw: Required<Access> = {
  read: ({ fn }, { pos, count }) => fn.readConfig(pos, count),
  write: ({ fn }, { pos, count }, value) => fn.writeConfig(pos, count, value),
}

/** Reads of `direct`, writes of `raw` (vendor-specific capabilities). */
export const rawWrites: Required<Access> = { read: direct.read, write: raw.write }
