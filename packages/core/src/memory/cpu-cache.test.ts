import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CacheGeometry, CpuCaches, LINE_BYTES } from './cpu-cache.ts'
import { HostMemory } from './host-memory.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

function setUp(cpus = 2, geometry?: CacheGeometry): { readonly memory: HostMemory; readonly caches: CpuCaches } {
  const memory = new HostMemory({ views: false })
  memory.addRam(0, 0x10000)
  const caches = new CpuCaches(memory, cpus, geometry)
  memory.snoop = caches
  return { memory, caches }
}
const one = (read: (into: Uint8Array) => number): number | undefined => {
  const into = new Uint8Array(1)
  return read(into) === 1 ? into[0] : undefined
}
const cpuSees = (caches: CpuCaches, cpu: number, hpa: number): number | undefined =>
  one((into) => caches.cpuRead(cpu, hpa, into))
const memoryHolds = (memory: HostMemory, hpa: number): number | undefined => one((into) => memory.read(hpa, into))
/** How far a backing gets that fails at byte 70. */
const upTo = (offset: number, n: number): number => Math.max(0, Math.min(n, 70 - offset))
const deviceSees = (caches: CpuCaches, hpa: number): number | undefined => one((into) => caches.read(hpa, into))

describe('a store by a CPU', () => {
  test('stays in its cache until CLFLUSH', () => {
    const { memory, caches } = setUp()
    caches.cpuWrite(0, 0x1000, bytes(7))
    expect([cpuSees(caches, 0, 0x1000), memoryHolds(memory, 0x1000), caches.dirtyLines]).toEqual([7, 0, 1])
    caches.clflush(0x1000, 1)
    expect([memoryHolds(memory, 0x1000), caches.dirtyLines, caches.holds(0, 0x1000)]).toEqual([7, 0, undefined])
  })
  test('keeps the rest of its line', () => {
    const { memory, caches } = setUp()
    memory.write(0x1000, bytes(1, 2, 3))
    caches.cpuWrite(0, 0x1001, bytes(9))
    caches.clflush(0x1000, LINE_BYTES)
    expect([0x1000, 0x1001, 0x1002].map((hpa) => memoryHolds(memory, hpa))).toEqual([1, 9, 3])
  })
  test('reaches memory when its line must make room: the least recently used goes', () => {
    const { memory, caches } = setUp(1, { bytes: 256, ways: 2 })
    caches.cpuWrite(0, 0x000, bytes(1))
    caches.cpuWrite(0, 0x080, bytes(2))
    cpuSees(caches, 0, 0x000)
    cpuSees(caches, 0, 0x100)
    expect([memoryHolds(memory, 0x000), memoryHolds(memory, 0x080)]).toEqual([0, 2])
    expect([caches.holds(0, 0x000), caches.holds(0, 0x080), caches.holds(0, 0x100)]).toEqual([
      'dirty',
      undefined,
      'clean',
    ])
  })
  test('crosses lines', () => {
    const { caches } = setUp()
    expect(caches.cpuWrite(0, 0x103e, bytes(1, 2, 3, 4))).toBe(4)
    expect(caches.dirtyLines).toBe(2)
    expect([0x103e, 0x1041].map((hpa) => cpuSees(caches, 1, hpa))).toEqual([1, 4])
  })
})

describe('several CPUs', () => {
  test('agree: a load takes the newest bytes from the CPU that wrote them', () => {
    const { memory, caches } = setUp()
    caches.cpuWrite(0, 0x1000, bytes(1))
    expect(cpuSees(caches, 1, 0x1000)).toBe(1)
    expect([caches.holds(0, 0x1000), caches.holds(1, 0x1000), memoryHolds(memory, 0x1000)]).toEqual([
      'clean',
      'clean',
      1,
    ])
  })
  test('agree: a store takes the line away from the others', () => {
    const { caches } = setUp()
    caches.cpuWrite(0, 0x1000, bytes(1, 1))
    caches.cpuWrite(1, 0x1001, bytes(2))
    expect([caches.holds(0, 0x1000), caches.holds(1, 0x1000), caches.dirtyLines]).toEqual([undefined, 'dirty', 1])
    expect([cpuSees(caches, 0, 0x1000), cpuSees(caches, 0, 0x1001)]).toEqual([1, 2])
  })
  test('agree even on stale bytes: a CPU that misses takes the clean line of another one', () => {
    const { memory, caches } = setUp()
    cpuSees(caches, 0, 0x1000)
    memory.write(0x1000, bytes(5))
    expect([cpuSees(caches, 0, 0x1000), cpuSees(caches, 1, 0x1000)]).toEqual([0, 0])
  })
})

describe('a device that snoops', () => {
  test('reads dirty lines', () => {
    const { caches } = setUp()
    caches.cpuWrite(1, 0x1000, bytes(7))
    expect(deviceSees(caches, 0x1000)).toBe(7)
  })
  test('writes so that every CPU sees it, and keeps the dirty bytes beside', () => {
    const { memory, caches } = setUp()
    caches.cpuWrite(1, 0x1000, bytes(7, 7))
    caches.write(0x1001, bytes(8))
    expect([cpuSees(caches, 0, 0x1000), cpuSees(caches, 1, 0x1001), memoryHolds(memory, 0x1000)]).toEqual([7, 8, 7])
  })
})

describe('a device that does not snoop', () => {
  test('misses dirty lines', () => {
    const { memory, caches } = setUp()
    caches.cpuWrite(0, 0x1000, bytes(7))
    expect(memoryHolds(memory, 0x1000)).toBe(0)
  })
  test('leaves a CPU reading stale bytes until WBINVD', () => {
    const { memory, caches } = setUp()
    cpuSees(caches, 0, 0x1000)
    memory.write(0x1000, bytes(9))
    expect(cpuSees(caches, 0, 0x1000)).toBe(0)
    caches.wbinvd(0)
    expect(cpuSees(caches, 0, 0x1000)).toBe(9)
  })
  test('loses its bytes to a dirty line that is written back later', () => {
    const { memory, caches } = setUp()
    caches.cpuWrite(0, 0x1000, bytes(1))
    memory.write(0x1000, bytes(9))
    caches.wbinvd(0)
    expect(memoryHolds(memory, 0x1000)).toBe(1)
  })
})

describe('WBINVD', () => {
  test('is for one CPU; CLFLUSH is for all', () => {
    const { caches } = setUp()
    caches.cpuWrite(0, 0x1000, bytes(1))
    caches.cpuWrite(1, 0x2000, bytes(2))
    caches.wbinvd(0)
    expect([caches.holds(0, 0x1000), caches.holds(1, 0x2000)]).toEqual([undefined, 'dirty'])
    caches.clflush(0x2000, 64)
    expect(caches.holds(1, 0x2000)).toBeUndefined()
  })
})

describe('not cached are', () => {
  test('registers: every access arrives, a write-back does not', () => {
    const { memory, caches } = setUp()
    const seen: string[] = []
    caches.cpuWrite(0, 0x2000, bytes(1))
    memory.addMmio(0x2000, 64, {
      load: (offset, size) => {
        seen.push(`load ${offset} ${size}`)
        return 3n
      },
      store: (offset, size, value) => seen.push(`store ${offset} ${size} ${value}`),
    })
    expect([cpuSees(caches, 0, 0x2004), cpuSees(caches, 0, 0x2004)]).toEqual([3, 3])
    caches.cpuWrite(0, 0x2008, bytes(1, 2, 0, 0))
    caches.wbinvd(0)
    expect(seen).toEqual(['load 4 1', 'load 4 1', 'store 8 4 513'])
  })
  test('holes and a backing that fails: the count says how far it went', () => {
    const { memory, caches } = setUp()
    const data = new Uint8Array(0x1000)
    memory.addBacking(0x2_0000, 0x1000, {
      read: (offset, into) => {
        const n = upTo(offset, into.length)
        into.set(data.subarray(offset, offset + n))
        return n
      },
      write: (offset, from) => {
        const n = upTo(offset, from.length)
        data.set(from.subarray(0, n), offset)
        return n
      },
    })
    expect(caches.cpuRead(0, 0xfffe, new Uint8Array(4))).toBe(2)
    expect(caches.cpuWrite(0, 0x2_0000, new Uint8Array(100))).toBe(70)
    expect(caches.cpuRead(0, 0x2_0000, new Uint8Array(100))).toBe(70)
  })
})

test('a geometry without a power of two of sets is refused', () => {
  expect(() => setUp(1, { bytes: 64 * 3, ways: 1 })).toThrow(/power of two of sets/)
  expect(() => setUp(1, { bytes: 100, ways: 1 })).toThrow(/power of two of sets/)
})

test('with snooping devices only, CPUs and devices see one memory, whatever the order', () => {
  const step = fc.record({
    who: fc.constantFrom('cpu 0', 'cpu 1', 'cpu 2', 'device'),
    what: fc.constantFrom('read', 'write', 'flush'),
    at: fc.integer({ min: 0, max: 0x3ff }),
    data: fc.uint8Array({ minLength: 1, maxLength: 100 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { memory, caches } = setUp(3, { bytes: 512, ways: 2 })
      const flat = new Uint8Array(0x800)
      const wrong: string[] = []
      for (const { who, what, at, data } of steps) {
        const cpu = who === 'device' ? undefined : Number(who.slice(4))
        if (what === 'write') {
          if (cpu === undefined) caches.write(at, data)
          else caches.cpuWrite(cpu, at, data)
          flat.set(data, at)
        } else if (what === 'read') {
          const into = new Uint8Array(data.length)
          if (cpu === undefined) caches.read(at, into)
          else caches.cpuRead(cpu, at, into)
          if (into.some((b, i) => b !== flat[at + i])) wrong.push(`${who} reads ${at}`)
        } else if (cpu === undefined) caches.clflush(at, data.length)
        else caches.wbinvd(cpu)
      }
      expect(wrong).toEqual([])
      for (const cpu of [0, 1, 2]) caches.wbinvd(cpu)
      const all = new Uint8Array(flat.length)
      memory.read(0, all)
      expect(all.findIndex((b, i) => b !== flat[i])).toBe(-1)
      expect(caches.dirtyLines).toBe(0)
    }),
    { numRuns: 100 },
  )
})
