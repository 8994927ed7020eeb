/**
 * The GCR3 table of one function: which guest table each PASID has. drivers/iommu/amd/iommu.c setup_gcr3_table, __get_gcr3_pte,
 * update_gcr3, free_gcr3_table.
 */
import { type Cpu, get, type Hpa, hpaHi, hpaLo, hpaOf, type PageAllocator, type Pasid } from '@ioasis/core'
import { GCR3, GCR3_BITS } from '../spec/guest-page-table.ts'

const TABLE_BYTES = 4096
const INDEX_MASK = (1 << GCR3_BITS) - 1

/** Levels, less one, that so many PASIDs need (get_gcr3_levels). */
export const gcr3Level = (pasids: number): number =>
  Math.max(0, Math.ceil(Math.ceil(Math.log2(pasids)) / GCR3_BITS) - 1)

/** One table. */
export class Gcr3Table {
  readonly root: Hpa
  /** Levels, less one: DTE.GLX. */
  readonly glx: number
  readonly #cpu: Cpu
  readonly #pages: PageAllocator
  readonly #tables: Hpa[] = []

  /** @throws UapiError ENOMEM */
  constructor(glx: number, host: { readonly cpu: Cpu; readonly pages: PageAllocator }) {
    this.glx = glx
    this.#cpu = host.cpu
    this.#pages = host.pages
    this.root = this.#alloc()
  }

  /** Gives a PASID a guest table; what was cached for it must be flushed. @throws UapiError ENOMEM, with nothing changed */
  set(pasid: Pasid, table: Hpa): void {
    const at = this.#entry(pasid, true)
    if (at !== undefined) this.#cpu.storeWords(at, hpaLo(table) | 1, hpaHi(table))
  }
  /** Takes it away. */
  clear(pasid: Pasid): void {
    const at = this.#entry(pasid, false)
    if (at !== undefined) this.#cpu.storeWords(at, 0, 0)
  }
  /** The unit must not walk it any more. */
  free(): void {
    for (const table of this.#tables) this.#pages.free(table, TABLE_BYTES)
    this.#tables.length = 0
  }

  #entry(pasid: Pasid, make: boolean): Hpa | undefined {
    let table = this.root
    for (let level = this.glx; level > 0; level--) {
      const at = table + 8 * ((pasid >>> (GCR3_BITS * level)) & INDEX_MASK)
      this.#cpu.loadWords(at)
      const { lo, hi } = this.#cpu
      if (get(GCR3.V, lo, hi)) table = hpaOf(hi, lo & ~0xfff)
      else if (make) {
        table = this.#alloc()
        this.#cpu.storeWords(at, hpaLo(table) | 1, hpaHi(table))
      } else return undefined
    }
    return table + 8 * (pasid & INDEX_MASK)
  }
  #alloc(): Hpa {
    const table = this.#pages.alloc(TABLE_BYTES, 'GCR3 table')
    this.#tables.push(table)
    return table
  }
}
