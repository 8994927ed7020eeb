/** What a page table lives in, as its owner gives it. */
import type { Cpu, Hpa } from '@ioasis/core'

/** Where table pages come from; core's page allocator is one. */
export interface TablePages {
  /** @returns naturally aligned pages, whose zeros are in memory and not only in a cache @throws UapiError ENOMEM */
  alloc(bytes: number, what?: string): Hpa
  free(hpa: Hpa, bytes: number): void
}

/** The memory a page table lives in. */
export interface TableMemory {
  /** Whoever writes the tables. */
  readonly cpu: Cpu
  readonly pages: TablePages
  /** The hardware's walks do not snoop (VT-d: ECAP.C is 0): CLFLUSH what was written. */
  readonly flushWrites: boolean
}
