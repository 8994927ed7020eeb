/**
 * Reads and writes of registers for a user, in the widest pieces that alignment allows, around a range that is kept from him.
 * drivers/vfio/pci/vfio_pci_rdwr.c vfio_pci_core_do_io_rw.
 */
import type { AccessSize } from '@ioasis/core'

/** Registers at offsets. */
export interface Registers {
  /** @throws UapiError EIO while memory is off */
  load(offset: number, size: AccessSize): bigint
  /** @throws UapiError EIO while memory is off */
  store(offset: number, size: AccessSize, value: bigint): void
}

/** How one access is cut. */
export interface Cut {
  /** Widest piece in bytes. */
  readonly widest: AccessSize
  /** Bytes from `first` up to, not including, `end`: reads give ones, writes are lost. Empty: nothing is kept back. */
  readonly hidden: { readonly first: number; readonly end: number }
}

/** Reads all of `into`. */
export function readRegisters(registers: Registers, offset: number, into: Uint8Array, cut: Cut): void {
  eachPiece(offset, into.length, cut, (at, done, size) => {
    if (size === 0) into[done] = 0xff
    else putLittle(into, done, size, registers.load(at, size))
  })
}
/** Writes all of `from`. */
export function writeRegisters(registers: Registers, offset: number, from: Uint8Array, cut: Cut): void {
  eachPiece(offset, from.length, cut, (at, done, size) => {
    if (size !== 0) registers.store(at, size, getLittle(from, done, size))
  })
}

/** Pieces of a hidden range come one byte at a time, with size 0. */
function eachPiece(
  offset: number,
  bytes: number,
  { widest, hidden }: Cut,
  run: (at: number, done: number, size: AccessSize | 0) => void,
): void {
  for (let done = 0; done < bytes;) {
    const at = offset + done
    const left = bytes - done
    const free = at < hidden.first ? Math.min(left, hidden.first - at) : at >= hidden.end ? left : 0
    const size = pieceOf(at, free, widest)
    run(at, done, size)
    done += size || 1
  }
}
function pieceOf(at: number, free: number, widest: AccessSize): AccessSize | 0 {
  if (free === 0) return 0
  for (const size of [8, 4, 2] as const) if (free >= size && at % size === 0 && widest >= size) return size
  return 1
}

function putLittle(into: Uint8Array, at: number, size: AccessSize, value: bigint): void {
  for (let i = 0; i < size; i++) into[at + i] = Number((value >> BigInt(8 * i)) & 0xffn)
}
function getLittle(from: Uint8Array, at: number, size: AccessSize): bigint {
  let value = 0n
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(from[at + i] as number)
  return value
}
