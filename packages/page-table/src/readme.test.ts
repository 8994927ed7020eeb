/** The example of README.md, line by line. */
import { flushGather, HostMemory, makeCpus, PageAllocator } from '@ioasis/core'
import { expect, test } from 'vitest'
import { flushPlan, PageTable, vtdss } from './index.ts'

test('the example of the README does what its comments say', () => {
  const memory = new HostMemory()
  memory.addRam(0, 16 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  const table = new PageTable(vtdss, { topLevel: 3, pageSizes: 0x4020_1000n }, { cpu, pages, flushWrites: false })
  const runs = { count: 2, hpa: Float64Array.of(0x4000_0000, 0x1234_5000), bytes: Float64Array.of(0x20_0000, 0x1000) }
  table.map(0x8000_0000n, runs, { read: true, write: true })
  expect(table.lookup(0x8000_0123n)).toBe(0x4000_0123)
  expect(table.lookup(0x8020_0000n)).toBe(0x1234_5000)
  const gather = flushGather()
  expect(table.unmap(0x8000_0000n, 0x1000n, gather)).toBe(0x1000n)
  expect(flushPlan(gather, { pageSelective: true, maxMask: 18 })).toEqual([{ iova: 0x8000_0000n, order: 0 }])
  table.release(gather)
})
