/** A machine for the tests of this package: memory, a CPU, pages, and a record of what was flushed. */
import { type Cpu, CpuCaches, type Hpa, HostMemory, L1D, makeCpus, PageAllocator } from '@ioasis/core'
import type { PageTableFormat, PageTableGeometry } from './format.ts'
import { PageTable } from './page-table.ts'
import type { RootListener } from './tables.ts'

/** Page sizes of VT-d and x86-64. */
export const SIZES: bigint = (1n << 12n) | (1n << 21n) | (1n << 30n)

/** A page table alone on its machine. */
export interface TestWorld {
  readonly memory: HostMemory
  readonly cpu: Cpu
  readonly pages: PageAllocator
  readonly table: PageTable
  /** Makes another one beside it. */
  make(): PageTable
  /** Ranges that CLFLUSH was asked for: `[hpa, bytes]`. */
  readonly flushed: [Hpa, number][]
  /** Both words of an entry as they stand in memory, lowest byte first. */
  entry(table: Hpa, index: number): bigint
}

/** @param how `cache`: CPUs behind a cache, no raw views; `flushWrites`: hardware does not snoop */
export function testWorld(
  format: PageTableFormat,
  geometry: PageTableGeometry,
  how: { readonly cache?: boolean; readonly flushWrites?: boolean } = {},
  rootChanged?: RootListener,
): TestWorld {
  const memory = new HostMemory({ views: !how.cache })
  memory.addRam(0, 64 << 20)
  const caches = how.cache ? new CpuCaches(memory, 1, L1D) : undefined
  if (caches) memory.snoop = caches
  const [cpu] = makeCpus(memory, caches, 1)
  const pages = new PageAllocator(memory, cpu)
  const flushed: [Hpa, number][] = []
  const clflush = cpu.clflush.bind(cpu)
  cpu.clflush = (hpa, bytes) => {
    flushed.push([hpa, bytes])
    clflush(hpa, bytes)
  }
  const make = (): PageTable =>
    new PageTable(format, geometry, { cpu, pages, flushWrites: how.flushWrites ?? false }, rootChanged)
  const bytes = new Uint8Array(8)
  return {
    memory,
    cpu,
    pages,
    table: make(),
    make,
    flushed,
    entry(at, index) {
      memory.read(at + index * 8, bytes)
      return new DataView(bytes.buffer).getBigUint64(0, true)
    },
  }
}
