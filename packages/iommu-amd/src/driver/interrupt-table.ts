/**
 * Interrupt remapping tables, one for each function: 48882 "Interrupt Remapping Tables"; drivers/iommu/amd/iommu.c
 * alloc_irq_table, set_dte_irq_entry, amd_iommu_int_table.
 *
 * Linux fills an entry when a driver asks for an interrupt, and puts the entry's number into the message. Here the host's
 * drivers put vectors into messages, so every entry stands for the vector that is its number: messages of a function pass
 * through its own table, and a function without one is heard by nobody.
 */
import { type Cpu, type Hpa, type PageAllocator, put } from '@ioasis/core'
import { IRTE, IRTE_GA_HI, IRTE_GA_LO } from '../spec/interrupt-table.ts'

/** Entries: 512, or 2048 where the units can. */
const LENGTH = { few: 9, many: 11 } as const
/** Vectors of a CPU; entries beyond stay absent. */
const VECTORS = 256

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
  readonly #pages: PageAllocator

  /** @throws UapiError ENOMEM */
  constructor(shape: InterruptShape, host: { readonly cpu: Cpu; readonly pages: PageAllocator }) {
    this.#shape = shape
    this.#pages = host.pages
    this.bytes = Math.max(4096, 2 ** this.length * (shape.wide ? 16 : 4))
    this.hpa = host.pages.alloc(this.bytes, 'interrupt remapping table')
    host.cpu.write(this.hpa, new Uint8Array(entriesOf(shape.wide).buffer))
  }

  /** log2 of its entries. */
  get length(): number {
    return this.#shape.many ? LENGTH.many : LENGTH.few
  }
  free(): void {
    this.#pages.free(this.hpa, this.bytes)
  }
}

/** Fixed delivery to CPU 0, physical destination. */
function entriesOf(wide: boolean): Int32Array {
  const words = new Int32Array(VECTORS * (wide ? 4 : 1))
  for (let vector = 0; vector < VECTORS; vector++) {
    if (!wide) {
      words[vector] = put(IRTE.Vector, put(IRTE.RemapEn, 0, 1), vector)
      continue
    }
    words[4 * vector] = put(IRTE_GA_LO.RemapEn, 0, 1)
    words[4 * vector + 2] = put(IRTE_GA_HI.Vector, 0, vector)
  }
  return words
}
