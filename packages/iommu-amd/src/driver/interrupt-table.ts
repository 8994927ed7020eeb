/**
 * Interrupt remapping tables, one for each function: 48882 "Interrupt Remapping Tables"; drivers/iommu/amd/iommu.c
 * alloc_irq_table, set_dte_irq_entry, amd_iommu_int_table.
 *
 * Linux gives each interrupt the first free entry, and puts that entry's number into the message. Here the host's drivers put
 * vectors into messages, so that a vector's entry is the one of its number. A message without an entry of its function's own table
 * is heard by nobody.
 */
import { type Cpu, type Hpa, type PageAllocator, put } from '@ioasis/core'
import { IRTE, IRTE_GA_HI, IRTE_GA_LO } from '../spec/interrupt-table.ts'

/** Entries: 512, or 2048 where the units can. */
const LENGTH = { few: 9, many: 11 } as const
/** What decides the shape of entries. */
export interface InterruptShape {
  /** 128 bits in place of 32. */
  readonly wide: boolean
  readonly many: boolean
}

/** The table of one function. */
export class InterruptTable {
  readonly hpa: Hpa
  readonly bytes: number
  readonly #shape: InterruptShape
  readonly #cpu: Cpu
  readonly #pages: PageAllocator

  /** Makes an empty table. @throws UapiError ENOMEM */
  constructor(shape: InterruptShape, host: { readonly cpu: Cpu; readonly pages: PageAllocator }) {
    this.#shape = shape
    this.#cpu = host.cpu
    this.#pages = host.pages
    this.bytes = Math.max(4096, 2 ** this.length * (shape.wide ? 16 : 4))
    this.hpa = host.pages.alloc(this.bytes, 'interrupt remapping table')
  }

  /** log2 of its entries. */
  get length(): number {
    return this.#shape.many ? LENGTH.many : LENGTH.few
  }
  /** Lets messages of a vector pass: fixed delivery to CPU 0, physical destination. */
  allow(vector: number): void {
    if (this.#shape.wide) this.#storeWide(vector, put(IRTE_GA_LO.RemapEn, 0, 1), put(IRTE_GA_HI.Vector, 0, vector))
    else this.#storeNarrow(vector, put(IRTE.Vector, put(IRTE.RemapEn, 0, 1), vector))
  }
  /** No more: the unit must be told to forget it. */
  refuse(vector: number): void {
    if (this.#shape.wide) this.#storeWide(vector, 0, 0)
    else this.#storeNarrow(vector, 0)
  }
  /** Units must not use it any more. */
  free(): void {
    this.#pages.free(this.hpa, this.bytes)
  }

  #storeNarrow(index: number, word: number): void {
    this.#cpu.store(this.hpa + 4 * index, 4, BigInt(word >>> 0))
  }
  /** The word that makes the entry valid comes last. */
  #storeWide(index: number, lo: number, hi: number): void {
    this.#cpu.storeWords(this.hpa + 16 * index + 8, hi, 0)
    this.#cpu.storeWords(this.hpa + 16 * index, lo, 0)
  }
}
