import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { UapiError } from '../errno.ts'
import { FailurePoints } from '../failure-points.ts'
import { CpuCaches } from './cpu-cache.ts'
import { HostMemory } from './host-memory.ts'
import { makeCpus } from './memory-cpu.ts'
import { PageAllocator } from './page-allocator.ts'

const MiB = 2 ** 20
const KiB = 1024

function setUp(bytes = 4 * MiB, cached = false): { readonly memory: HostMemory; readonly pages: PageAllocator } {
  const memory = new HostMemory({ views: !cached })
  memory.addRam(0, bytes)
  const caches = cached ? new CpuCaches(memory, 1) : undefined
  if (caches) memory.snoop = caches
  return { memory, pages: new PageAllocator(memory, makeCpus(memory, caches, 1)[0]) }
}
const tryAlloc = (pages: PageAllocator, bytes: number): number | undefined => {
  try {
    return pages.alloc(bytes)
  } catch (error) {
    if (error instanceof UapiError && error.errno === 'ENOMEM') return undefined
    throw error
  }
}
const read = (memory: HostMemory, hpa: number, n: number): number[] => {
  const into = new Uint8Array(n)
  memory.read(hpa, into)
  return [...into]
}

describe('alloc', () => {
  test('starts at 1 MiB and goes up', () => {
    const { pages } = setUp()
    expect([pages.alloc(4096), pages.alloc(1), pages.alloc(4096)]).toEqual([MiB, MiB + 4096, MiB + 8192])
    expect(pages.allocated).toBe(3 * 4096)
  })
  test('rounds up to a power of two and aligns to it, without losing the gap', () => {
    const { pages } = setUp()
    pages.alloc(4096)
    expect(pages.alloc(5000)).toBe(MiB + 8 * KiB)
    expect(pages.alloc(64 * KiB)).toBe(MiB + 64 * KiB)
    expect(pages.alloc(4096)).toBe(MiB + 4 * KiB)
    expect(pages.allocated).toBe(4096 + 8192 + 65536 + 4096)
  })
  test('gives zeros to a raw read, also where other data stood', () => {
    const { memory, pages } = setUp()
    const hpa = pages.alloc(8192)
    memory.write(hpa, new Uint8Array(8192).fill(0xff))
    pages.free(hpa, 8192)
    expect(pages.alloc(8192)).toBe(hpa)
    expect(read(memory, hpa, 8192).every((b) => b === 0)).toBe(true)
  })
  test('gives zeros to a raw read behind a cache as well', () => {
    const { memory, pages } = setUp(4 * MiB, true)
    memory.write(MiB, new Uint8Array(4096).fill(0xff))
    expect(read(memory, pages.alloc(4096), 4096).every((b) => b === 0)).toBe(true)
  })
  test('throws ENOMEM when RAM is used up, and goes on after a free', () => {
    const { pages } = setUp(MiB + 8192)
    const first = pages.alloc(4096)
    pages.alloc(4096)
    expect(() => pages.alloc(4096, 'table')).toThrow('table: ENOMEM bytes=0x1000 allocated=0x2000')
    pages.free(first, 4096)
    expect(pages.alloc(4096)).toBe(first)
  })
  test('throws ENOMEM for more than there is in one piece', () => {
    const { pages } = setUp()
    expect(() => pages.alloc(8 * MiB)).toThrow(/ENOMEM/)
    expect(() => pages.alloc(2 ** 40)).toThrow(/ENOMEM/)
  })
  test('cuts a large free block, and joins small ones when it must', () => {
    const { pages } = setUp(2 * MiB)
    const whole = pages.alloc(MiB)
    pages.free(whole, MiB)
    const parts = Array.from({ length: 256 }, () => pages.alloc(4096))
    expect(new Set(parts).size).toBe(256)
    for (const part of parts) pages.free(part, 4096)
    expect(pages.alloc(MiB)).toBe(whole)
  })
  test('leaves out RAM behind a backing and pages under registers', () => {
    const memory = new HostMemory()
    memory.addBacking(0x10_0000, MiB, { read: () => 0, write: () => 0 })
    memory.addRam(2 * MiB, MiB)
    memory.addMmio(2 * MiB + 4096, 16, { load: () => 0n, store: () => undefined })
    const pages = new PageAllocator(memory, makeCpus(memory, undefined, 1)[0])
    expect([pages.alloc(4096), pages.alloc(4096), pages.alloc(16384), pages.alloc(4096)]).toEqual([
      2 * MiB,
      2 * MiB + 8192,
      2 * MiB + 16384,
      2 * MiB + 12288,
    ])
  })
})

describe('free', () => {
  test('of what was not handed out is our own mistake', () => {
    const { pages } = setUp()
    const hpa = pages.alloc(8192)
    expect(() => pages.free(hpa, 4096)).toThrow(/0x100000 with 0x1000 bytes/)
    expect(() => pages.free(hpa + 4096, 4096)).toThrow(/not handed out/)
    pages.free(hpa, 8192)
    expect(() => pages.free(hpa, 8192)).toThrow(/not handed out/)
    expect(() => pages.free(0, 4096)).toThrow(/not handed out/)
  })
})

describe('reserve', () => {
  test('keeps RAM out of what is handed out', () => {
    const { pages } = setUp()
    pages.reserve(MiB + 4096, 100)
    expect([pages.alloc(4096), pages.alloc(4096)]).toEqual([MiB, MiB + 8192])
  })
  test('refuses once pages there were handed out', () => {
    const { pages } = setUp()
    pages.alloc(4096)
    expect(() => pages.reserve(MiB, 4096)).toThrow(/reserved after/)
  })
})

test('failAfter makes the n-th next allocation fail, once', () => {
  const { pages } = setUp()
  pages.failAfter = 2
  pages.alloc(4096)
  expect(() => pages.alloc(4096)).toThrow(/ENOMEM/)
  expect(pages.alloc(4096)).toBe(MiB + 4096)
})

test('isAllocated knows every byte of what is out', () => {
  const { pages } = setUp()
  const hpa = pages.alloc(16384)
  const next = pages.alloc(4096)
  expect(pages.isAllocated(hpa + 100, 16384)).toBe(true)
  pages.free(next, 4096)
  expect([pages.isAllocated(hpa, 16384), pages.isAllocated(hpa + 1, 16384), pages.isAllocated(0, 1)]).toEqual([
    true,
    false,
    false,
  ])
})

test('blocks never overlap, and everything comes back', () => {
  const step = fc.record({ order: fc.integer({ min: 0, max: 6 }), free: fc.boolean(), which: fc.nat() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { pages } = setUp(2 * MiB)
      const out: { hpa: number; bytes: number }[] = []
      const wrong: number[] = []
      for (const { order, free, which } of steps) {
        if (free && out.length > 0) {
          const [block] = out.splice(which % out.length, 1)
          if (block) pages.free(block.hpa, block.bytes)
          continue
        }
        const bytes = 4096 << order
        const hpa = tryAlloc(pages, bytes)
        if (hpa === undefined) continue
        if (hpa % bytes !== 0 || out.some((b) => hpa < b.hpa + b.bytes && b.hpa < hpa + bytes)) wrong.push(hpa)
        out.push({ hpa, bytes })
      }
      expect(wrong).toEqual([])
      expect(pages.allocated).toBe(out.reduce((sum, b) => sum + b.bytes, 0))
      for (const { hpa, bytes } of out) pages.free(hpa, bytes)
      expect(pages.alloc(MiB)).toBe(MiB)
    }),
    { numRuns: 100 },
  )
})

test('pages of tables are points of failure, those of processes are not', () => {
  const memory = new HostMemory()
  memory.addRam(0, 4 * MiB)
  const failures = new FailurePoints()
  const pages = new PageAllocator(memory, makeCpus(memory, undefined, 1)[0], failures)
  failures.arm(1)
  pages.allocUser(4096, 'memory')
  expect(tryAlloc(pages, 4096)).toBeUndefined()
  expect([...failures.passed]).toEqual([['table', 1]])
})
