/** Tells what a device's access did to RAM from what the unit did, and reads back where self-identifying data came from. */
import { hex } from '@ioasis/core'
import type { Landed, ReadPiece } from './case-file.ts'
import type { RamChange } from './ram-watch.ts'

/** The word that a device stores over and over. */
export const PATTERN = 0x1234_5678
/** Bits 63:48 of tagged memory; the rest of each word is its own address. */
export const TAG = 0x5a5an

/** Bytes as a device writes them: `PATTERN`, little-endian, from the start of the transfer. */
export function patternBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (PATTERN >>> (8 * (i & 3))) & 0xff)
}
/** A tagged range of memory. @param addr and `length` multiples of 8 */
export function tagBytes(addr: number, length: number): Uint8Array {
  return bytesOf(Array.from({ length: length / 8 }, (_, i) => (TAG << 48n) | BigInt(addr + 8 * i)))
}
/** 64-bit words as memory holds them. */
export function bytesOf(words: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(words).buffer)
}

/** An access, as far as its effect can be known before translation: translation keeps address bits 11:0. */
export interface Transfer {
  readonly iova: bigint
  readonly len: number
  /** The device added to a word: any value may have landed. */
  readonly atomic: boolean
}

/** Splits changed words into bytes that the device wrote and words that the unit wrote. */
export function splitChanges(
  changes: readonly RamChange[],
  { iova, len, atomic }: Transfer,
): { readonly landed: Landed[]; readonly stored: RamChange[]; readonly unit: RamChange[] } {
  const origin = Number(iova & 0xfffn)
  const mine = (hpa: number, value: number): boolean => {
    const at = (hpa - origin) & 0xfff
    return at < len && (atomic || value === ((PATTERN >>> (8 * (at & 3))) & 0xff))
  }
  const pieces: { first: number; length: number }[] = []
  const stored: RamChange[] = []
  const unit: RamChange[] = []
  for (const change of changes) {
    const bytes = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => ({
      hpa: change.hpa + i,
      was: byteOf(change.before, i),
      is: byteOf(change.after, i),
    }))
    if (!bytes.every((b) => b.was === b.is || mine(b.hpa, b.is))) {
      unit.push(change)
      continue
    }
    stored.push(change)
    for (const { hpa } of bytes.filter((b) => mine(b.hpa, b.is))) {
      const last = pieces.at(-1)
      if (last && last.first + last.length === hpa) last.length++
      else pieces.push({ first: hpa, length: 1 })
    }
  }
  return { landed: pieces.map(({ first, length }) => ({ addr: hex(first), len: length })), stored, unit }
}

/** Tells where data read at `iova` came from: tagged words name their address, the rest is given as a value. */
export function readPieces(iova: bigint, data: Uint8Array): ReadPiece[] {
  const pieces: { from?: number; value?: bigint; len: number }[] = []
  const skew = Number(iova & 7n)
  for (let at = 0; at < data.length;) {
    const len = Math.min(8 - ((at + skew) & 7), data.length - at)
    const value = data.subarray(at, at + len).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    const from = len === 8 && value >> 48n === TAG ? Number(value & 0xffff_ffff_ffffn) : undefined
    const last = pieces.at(-1)
    if (last?.from !== undefined && from === last.from + last.len) last.len += len
    else if (last?.value !== undefined && from === undefined) {
      last.value |= value << BigInt(8 * last.len)
      last.len += len
    } else pieces.push(from === undefined ? { value, len } : { from, len })
    at += len
  }
  return pieces.map(({ from, value = 0n, len }) =>
    from === undefined ? { value: hex(value), len } : { from: hex(from), len },
  )
}

const byteOf = (word: bigint, index: number): number => Number((word >> BigInt(8 * index)) & 0xffn)
