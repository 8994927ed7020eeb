/** Registers of a device model as 32-bit words: 8-byte accesses are two words, narrower ones part of one. */
import type { MmioWindow } from '@ioasis/core'

/** What a model answers with. */
export interface WordRegisters {
  /** @param offset a multiple of 4 @returns the register; uint32 */
  load(offset: number): number
  /** @param offset a multiple of 4 @param value uint32 */
  store(offset: number, value: number): void
}

/**
 * A window over word registers. A store narrower than a word replaces the bytes it names, the rest as the register reads.
 */
export function wordWindow(registers: WordRegisters): MmioWindow {
  return {
    load: (offset, size) => {
      const at = offset & ~3
      if (size === 8) return BigInt(registers.load(at) >>> 0) | (BigInt(registers.load(at + 4) >>> 0) << 32n)
      return BigInt.asUintN(8 * size, BigInt(registers.load(at) >>> 0) >> BigInt(8 * (offset & 3)))
    },
    store: (offset, size, value) => {
      const at = offset & ~3
      if (size >= 4) {
        registers.store(at, Number(BigInt.asUintN(32, value)))
        if (size === 8) registers.store(at + 4, Number(value >> 32n))
        return
      }
      const shift = 8 * (offset & 3)
      const mask = ((1 << (8 * size)) - 1) << shift
      registers.store(at, ((registers.load(at) & ~mask) | ((Number(value) << shift) & mask)) >>> 0)
    },
  }
}
