/** The exclusion range: addresses that pass untranslated; 48882 "Exclusion Range". */
import { bitsOf, hpaOf } from '@ioasis/core'
import { EXCLBASE } from '../spec/registers.ts'
import { DTE_MORE } from './dte-cache.ts'
import type { AmdRegisters } from './registers.ts'

/** The exclusion range of one unit. */
export class ExclusionRange {
  /** There is one, if only for some functions. */
  enabled = false
  #everybody = false
  readonly #registers: AmdRegisters

  /** @param changed runs when software moved it: leaves that were kept may lie in it now */
  constructor(registers: AmdRegisters, changed: () => void) {
    this.#registers = registers
    const written = (): void => {
      const base = registers.lo('EXCLBASE')
      this.enabled = (base & bitsOf(EXCLBASE.ExEn)) !== 0
      this.#everybody = (base & bitsOf(EXCLBASE.Allow)) !== 0
      changed()
    }
    registers.onWrite('EXCLBASE', written)
    registers.onWrite('EXCLLIMIT', written)
  }

  /** Whether a request passes. @param more word 5 of the function's entry */
  passes(more: number, hi: number, lo: number): boolean {
    if (!this.enabled || (!this.#everybody && (more & DTE_MORE.EX) === 0)) return false
    const { first, last } = this.#pages()
    const page = pageOf(hi, lo)
    return page >= first && page <= last
  }
  /** Whether a leaf of 2^shift bytes around an address reaches into it. */
  overlaps(hi: number, lo: number, shift: number): boolean {
    if (!this.enabled) return false
    const { first, last } = this.#pages()
    const pages = 2 ** (shift - 12)
    const start = Math.floor(pageOf(hi, lo) / pages) * pages
    return start <= last && start + pages - 1 >= first
  }
  #pages(): { readonly first: number; readonly last: number } {
    const registers = this.#registers
    return {
      first: pageOf(registers.hi('EXCLBASE'), registers.lo('EXCLBASE')),
      last: pageOf(registers.hi('EXCLLIMIT'), registers.lo('EXCLLIMIT')),
    }
  }
}

/** Number of the page: 52 bits at most, which a number holds. */
const pageOf = (hi: number, lo: number): number => hpaOf(hi, lo & ~0xfff) / 4096
