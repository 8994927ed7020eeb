/** The kit against a table that is right, and against the same table with one thing wrong at a time. */
import { type FlushGather, type Hpa, type Iova, type PageRuns, type Prot, UapiError } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { describePageTableFormat } from './page-table-format.ts'
import { TableBench } from './page-table-kit/bench.ts'
import { checkRandomOperations } from './page-table-kit/random.ts'
import { PAGE_TABLE_TESTS } from './page-table-kit/tests.ts'
import type { PageTableUnderTest, PageTableWorld } from './page-table-kit/world.ts'

const PAGE = 4096n

class ToyPages {
  allocated = 0
  failAfter: number | undefined
  #next = 0
  alloc(): Hpa {
    if (this.failAfter !== undefined && --this.failAfter <= 0) throw new UapiError('ENOMEM', 'toy')
    this.allocated += 4096
    return (this.#next += 4096)
  }
}

/** Pages of 4 KiB in a map; each costs a "table" of its own. */
class ToyTable implements PageTableUnderTest {
  readonly aperture = { first: 0n, last: (1n << 32n) - 1n }
  readonly pageSizes = PAGE
  readonly pages = new ToyPages()
  readonly leaf = new Map<Iova, { hpa: Hpa; write: boolean; table: Hpa }>()
  constructor() {
    this.pages.alloc()
  }
  get tablePages(): number {
    return this.leaf.size + 1
  }
  map(iova: Iova, runs: PageRuns, prot: Prot): void {
    if (!prot.read && !prot.write) throw new UapiError('EINVAL', 'toy')
    const put: Iova[] = []
    try {
      for (let r = 0; r < runs.count; r++) {
        for (let done = 0; done < (runs.bytes[r] as number); done += 4096) {
          const at = iova + BigInt(put.length) * PAGE
          if (this.leaf.has(at)) throw new UapiError('EADDRINUSE', 'toy')
          this.leaf.set(at, { hpa: (runs.hpa[r] as number) + done, write: prot.write, table: this.pages.alloc() })
          put.push(at)
        }
      }
    } catch (error) {
      this.undo(put)
      throw error
    }
  }
  undo(put: readonly Iova[]): void {
    for (const at of put) {
      this.leaf.delete(at)
      this.pages.allocated -= 4096
    }
  }
  unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    let removed = 0n
    for (const [at, { table }] of this.leaf) {
      if (at < iova || at >= iova + bytes) continue
      this.leaf.delete(at)
      gather.tables.push(table)
      if (at < gather.first) gather.first = at
      if (at + PAGE - 1n > gather.last) gather.last = at + PAGE - 1n
      gather.granule = 4096
      removed += PAGE
    }
    return removed
  }
  release(gather: FlushGather): void {
    this.pages.allocated -= 4096 * gather.tables.splice(0).length
  }
  lookup(iova: Iova): Hpa | undefined {
    const page = this.leaf.get(iova - (iova % PAGE))
    return page && page.hpa + Number(iova % PAGE)
  }
  leaves(visit: (iova: bigint, bytes: bigint, hpa: Hpa, writable: boolean) => void): void {
    for (const [iova, { hpa, write }] of [...this.leaf].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      visit(iova, PAGE, hpa, write)
    }
  }
  free(): void {
    this.pages.allocated = 0
  }
}

const world = (table: ToyTable): PageTableWorld => ({ table, pages: table.pages })

describePageTableFormat({ name: 'a map of pages', geometries: { '32 bits': () => world(new ToyTable()) } })

test('a skip must name a test', () => {
  expect(() => describePageTableFormat({ name: 'x', geometries: {}, skip: { 'a test nobody wrote': 'why' } })).toThrow(
    'no test is called "a test nobody wrote"',
  )
})

class NoUndo extends ToyTable {
  override undo(): void {}
}
class Overwrites extends ToyTable {
  override map(iova: Iova, runs: PageRuns, prot: Prot): void {
    for (const at of this.leaf.keys()) if (at >= iova && at < iova + BigInt(runs.bytes[0] ?? 0)) this.leaf.delete(at)
    super.map(iova, runs, prot)
  }
}
class CountsAsked extends ToyTable {
  override unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    return super.unmap(iova, bytes, gather) && bytes
  }
}
class Leaks extends ToyTable {
  override release(gather: FlushGather): void {
    gather.tables.length = 0
  }
}
class FreesEarly extends ToyTable {
  override unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    const removed = super.unmap(iova, bytes, gather)
    this.release(gather)
    return removed
  }
}
class ForgetsOffset extends ToyTable {
  override lookup(iova: Iova): Hpa | undefined {
    return this.leaf.get(iova - (iova % PAGE))?.hpa
  }
}
class MissesLast extends ToyTable {
  override unmap(iova: Iova, bytes: bigint, gather: FlushGather): bigint {
    const removed = super.unmap(iova, bytes, gather)
    gather.last = 0n
    return removed
  }
}
class AlwaysWritable extends ToyTable {
  override map(iova: Iova, runs: PageRuns, prot: Prot): void {
    super.map(iova, runs, { ...prot, write: prot.read || prot.write })
  }
}

/** Titles that a table fails. */
function failures(make: () => ToyTable): string[] {
  return Object.entries(PAGE_TABLE_TESTS).flatMap(([title, run]) => {
    try {
      run(new TableBench(world(make()), 4096))
      return []
    } catch {
      return [title]
    }
  })
}

describe('the kit notices a table that', () => {
  test.each([
    ['keeps what a failed map wrote', () => new NoUndo()],
    ['maps over what is there', () => new Overwrites()],
    ['counts what was asked and not what was there', () => new CountsAsked()],
    ['does not free its tables', () => new Leaks()],
    ['frees tables before the flush', () => new FreesEarly()],
    ['drops the offset in a page', () => new ForgetsOffset()],
    ['gathers too short a range', () => new MissesLast()],
    ['lets read-only pages be written', () => new AlwaysWritable()],
  ])('%s', (_, make) => {
    expect(failures(make)).not.toEqual([])
  })
  test('parts from the flat map only now and then', () => {
    class Rarely extends ToyTable {
      override lookup(iova: Iova): Hpa | undefined {
        const hpa = super.lookup(iova)
        return hpa !== undefined && this.leaf.size > 5 ? hpa + 4096 : hpa
      }
    }
    expect(() => checkRandomOperations(() => world(new Rarely()), 4096)).toThrow('Property failed')
  })
})
