import { describe, expect, test } from 'vitest'
import type { Cpu } from './cpu.ts'
import { CpuCaches } from './cpu-cache.ts'
import { CHUNK_BYTES, HostMemory } from './host-memory.ts'
import { makeCpus } from './memory-cpu.ts'

function setUp(cached: boolean): { readonly memory: HostMemory; readonly cpu: Cpu; readonly other: Cpu } {
  const memory = new HostMemory({ views: !cached })
  memory.addRam(0, 2 * CHUNK_BYTES)
  const caches = cached ? new CpuCaches(memory, 2) : undefined
  if (caches) memory.snoop = caches
  const [cpu, other] = makeCpus(memory, caches, 2)
  if (!other) throw new Error('two CPUs were asked for')
  return { memory, cpu, other }
}

describe.each([
  { kind: 'without a cache', cached: false },
  { kind: 'behind a cache', cached: true },
])('a CPU $kind', ({ cached }) => {
  test('stores and loads each width, little-endian', () => {
    const { cpu, other } = setUp(cached)
    cpu.store(0x1000, 8, 0x8877_6655_4433_2211n)
    expect([cpu.load(0x1001, 1), cpu.load(0x1002, 2), other.load(0x1004, 4), other.load(0x1000, 8)]).toEqual([
      0x22n,
      0x4433n,
      0x8877_6655n,
      0x8877_6655_4433_2211n,
    ])
    other.store(0x1000, 2, -1n)
    expect(cpu.load(0x1000, 4)).toBe(0x4433_ffffn)
  })
  test('loads and stores word pairs, in RAM touched before and not', () => {
    const { cpu } = setUp(cached)
    cpu.loadWords(CHUNK_BYTES)
    expect([cpu.lo, cpu.hi]).toEqual([0, 0])
    cpu.storeWords(CHUNK_BYTES, 1, -2)
    cpu.storeWords(CHUNK_BYTES + 8, 3, 4)
    cpu.loadWords(CHUNK_BYTES)
    expect([cpu.lo, cpu.hi, cpu.load(CHUNK_BYTES + 8, 8)]).toEqual([1, -2, 0x4_0000_0003n])
  })
  test('gets all ones where nothing answers, and loses stores there', () => {
    const { cpu } = setUp(cached)
    const nowhere = 0x1000_0000
    cpu.store(nowhere, 8, 1n)
    cpu.storeWords(nowhere, 1, 1)
    cpu.storeWord(nowhere, 1)
    expect(cpu.loadWord(nowhere)).toBe(-1)
    cpu.loadWords(nowhere)
    expect([cpu.load(nowhere, 1), cpu.load(nowhere, 4), cpu.load(nowhere, 8)]).toEqual([
      0xffn,
      0xffff_ffffn,
      0xffff_ffff_ffff_ffffn,
    ])
    expect([cpu.lo, cpu.hi]).toEqual([-1, -1])
    expect(cpu.read(nowhere, new Uint8Array(4))).toBe(0)
  })
  test('reaches registers with one access of its width', () => {
    const { memory, cpu } = setUp(cached)
    const seen: string[] = []
    memory.addMmio(0xfed9_0000, 0x1000, {
      load: (offset, size) => {
        seen.push(`load ${offset} ${size}`)
        return 0x1_0000_0002n
      },
      store: (offset, size, value) => seen.push(`store ${offset} ${size} ${value.toString(16)}`),
    })
    cpu.store(0xfed9_0018, 4, 0x1_8000_0000n)
    expect(cpu.load(0xfed9_0008, 8)).toBe(0x1_0000_0002n)
    cpu.storeWords(0xfed9_0020, -1, 1)
    cpu.loadWords(0xfed9_0020)
    expect(seen).toEqual(['store 24 4 80000000', 'load 8 8', 'store 32 8 1ffffffff', 'load 32 8'])
    expect([cpu.lo, cpu.hi]).toEqual([2, 1])
    cpu.storeWord(0xfed9_0028, -1)
    expect(cpu.loadWord(0xfed9_002c)).toBe(2)
    expect(seen.slice(4)).toEqual(['store 40 4 ffffffff', 'load 44 4'])
  })
})

test('CPUs without a cache share the views of memory; behind a cache nobody holds one', () => {
  const plain = setUp(false)
  plain.cpu.storeWords(0, 5, 0)
  expect(plain.other.words[0]?.[0]).toBe(5)
  expect(plain.cpu.chunkForWriting(1)).toBe(plain.memory.words[1])
  const cached = setUp(true)
  cached.cpu.storeWords(0, 5, 0)
  expect([cached.cpu.words.length, cached.cpu.chunkForWriting(0)]).toEqual([0, undefined])
})

test('a store behind a cache reaches a walk that does not snoop only after CLFLUSH', () => {
  const { memory, cpu } = setUp(true)
  cpu.storeWords(0x1000, 7, 0)
  expect(memory.loadEntry(0, 0x1000, false) && memory.entryLo).toBe(0)
  expect(memory.loadEntry(0, 0x1000, true) && memory.entryLo).toBe(7)
  cpu.storeWords(0x1000, 8, 0)
  cpu.clflush(0x1000, 8)
  expect(memory.loadEntry(0, 0x1000, false) && memory.entryLo).toBe(8)
})

test('WBINVD is for the CPU that runs it', () => {
  const { memory, cpu, other } = setUp(true)
  cpu.store(0x1000, 1, 1n)
  other.store(0x2000, 1, 2n)
  cpu.wbinvd()
  const into = new Uint8Array(1)
  memory.read(0x1000, into)
  expect(into[0]).toBe(1)
  memory.read(0x2000, into)
  expect(into[0]).toBe(0)
})

test('CPUs are numbered from 0, and there is at least one', () => {
  const memory = new HostMemory()
  expect(makeCpus(memory, undefined, 3).map((cpu) => cpu.id)).toEqual([0, 1, 2])
  expect(() => makeCpus(memory, undefined, 0)).toThrow(RangeError)
})
