/** Memory, a CPU, pages: what the mock's tables stand on. */
import { type Cpu, HostMemory, makeCpus, PageAllocator } from '@ioasis/core'
import { DEFAULT_GEOMETRY, type MockGeometry, mockFormat } from './spec/format.ts'
import { MockDomain } from './driver/domain.ts'
import { PageTable } from '@ioasis/page-table'

/** A machine without devices. */
export interface MockWorld {
  readonly memory: HostMemory
  readonly cpu: Cpu
  readonly pages: PageAllocator
  /** Makes a table of one geometry. */
  readonly table: (geometry?: MockGeometry) => PageTable
  /** Makes a domain. @param kind `PAGE_TABLE` */
  readonly domain: (kind?: number, tracksDirty?: boolean) => MockDomain
}

/** 64 MiB of RAM. */
export function mockWorld(): MockWorld {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  const tables = { cpu, pages, flushWrites: false }
  const parts = { memory: tables, pageBytes: 4096, canTrack: true, freed: () => undefined, tracked: () => undefined }
  return {
    memory,
    cpu,
    pages,
    table: (geometry = DEFAULT_GEOMETRY) => new PageTable(mockFormat, geometry.table, tables),
    domain: (kind = 0, tracksDirty = true) => new MockDomain(parts, kind, tracksDirty),
  }
}
