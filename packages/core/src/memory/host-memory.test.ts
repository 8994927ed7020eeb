import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AccessSize, MemoryBacking, MmioWindow } from './backing.ts'
import { CHUNK_BYTES, chunkIndex, HostMemory, HPA_BITS } from './host-memory.ts'

const MiB = 2 ** 20
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const readOf = (memory: HostMemory, hpa: number, n: number): { readonly got: number; readonly data: number[] } => {
  const into = new Uint8Array(n).fill(0xee)
  const got = memory.read(hpa, into)
  return { got, data: [...into] }
}

/** Registers that remember each access and answer with their offset. */
class Recorder implements MmioWindow {
  readonly accesses: string[] = []
  load(offset: number, size: AccessSize): bigint {
    this.accesses.push(`load ${offset} ${size}`)
    return BigInt(offset)
  }
  store(offset: number, size: AccessSize, value: bigint): void {
    this.accesses.push(`store ${offset} ${size} ${value.toString(16)}`)
  }
}

/** Plain bytes that fail from `bad` on. */
const failingAt = (bad: number, data: Uint8Array): MemoryBacking => ({
  read: (offset, into) => {
    const n = Math.max(0, Math.min(into.length, bad - offset))
    into.set(data.subarray(offset, offset + n))
    return n
  },
  write: (offset, from) => {
    const n = Math.max(0, Math.min(from.length, bad - offset))
    data.set(from.subarray(0, n), offset)
    return n
  },
})

describe('RAM', () => {
  test('reads as zeros until written, and holds no chunk until then', () => {
    const memory = new HostMemory()
    memory.addRam(0, MiB)
    expect(readOf(memory, 0x1000, 3)).toEqual({ got: 3, data: [0, 0, 0] })
    expect(memory.touchedChunks).toBe(0)
    memory.write(0x1000, bytes(1, 2, 3))
    expect(readOf(memory, 0x1000, 3).data).toEqual([1, 2, 3])
    expect([memory.touchedChunks, memory.isTouched(0), memory.isTouched(1)]).toEqual([1, true, false])
  })
  test('is one piece across chunk borders', () => {
    const memory = new HostMemory()
    memory.addRam(0, MiB)
    expect(memory.write(CHUNK_BYTES - 2, bytes(1, 2, 3, 4))).toBe(4)
    expect(readOf(memory, CHUNK_BYTES - 3, 6).data).toEqual([0, 1, 2, 3, 4, 0])
  })
  test('ends where it ends: the count says how far it went', () => {
    const memory = new HostMemory()
    memory.addRam(0x1000, 0x1000)
    expect(readOf(memory, 0x1ffe, 4)).toEqual({ got: 2, data: [0, 0, 0xee, 0xee] })
    expect(memory.write(0x1fff, bytes(7, 8))).toBe(1)
    expect(memory.write(0xfff, bytes(7, 8))).toBe(0)
    expect(readOf(memory, 0x1fff, 1).data).toEqual([7])
  })
  test('goes on in a second region that touches the first, inside one chunk', () => {
    const memory = new HostMemory()
    memory.addRam(0x1000, 0x1000)
    memory.addRam(0x2000, 0x1000)
    expect(memory.write(0x1ffe, bytes(1, 2, 3, 4))).toBe(4)
    expect(readOf(memory, 0x1ffe, 4).data).toEqual([1, 2, 3, 4])
  })
  test('refuses overlap and parts of a page', () => {
    const memory = new HostMemory()
    memory.addRam(0x1000, 0x2000)
    expect(() => memory.addRam(0x2000, 0x1000)).toThrow(/0x2000-0x2fff overlaps 0x1000-0x2fff/)
    expect(() => memory.addRam(0x10, 0x1000)).toThrow(RangeError)
    expect(() => memory.addRam(0x4000, 0)).toThrow(RangeError)
    expect(() => memory.addRam(2 ** HPA_BITS - 0x1000, 0x2000)).toThrow(RangeError)
  })
  test('lists its ranges in address order, with those behind a backing', () => {
    const memory = new HostMemory()
    memory.addRam(0x10_0000, 0x1000)
    memory.addBacking(0x1000, 0x1000, failingAt(0, bytes()))
    memory.addMmio(0x5000, 0x1000, new Recorder())
    expect(memory.ram).toEqual([
      { first: 0x1000, last: 0x1fff },
      { first: 0x10_0000, last: 0x10_0fff },
    ])
  })
  test('works up to the last address below 2^49 and holds nothing beyond', () => {
    const memory = new HostMemory()
    const top = 2 ** HPA_BITS
    memory.addRam(top - 0x1000, 0x1000)
    expect(memory.write(top - 2, bytes(1, 2))).toBe(2)
    expect(memory.write(top - 1, bytes(1, 2))).toBe(1)
    expect(readOf(memory, top - 2, 2).data).toEqual([1, 1])
    expect(readOf(memory, top, 1).got).toBe(0)
    expect(memory.whatIs(2 ** 52 - 1)).toBeUndefined()
  })
  test('above what views are kept for it is written without growing the list of views', () => {
    const memory = new HostMemory()
    memory.addRam(2 ** 48, CHUNK_BYTES)
    expect(memory.write(2 ** 48 + 8, bytes(9))).toBe(1)
    expect(memory.chunkForWriting(2 ** 30)).toBeUndefined()
    expect(memory.words.length).toBe(0)
    expect(readOf(memory, 2 ** 48 + 8, 1).data).toEqual([9])
  })
})

describe('views', () => {
  test('show the same bytes as read and write, little-endian', () => {
    const memory = new HostMemory()
    memory.addRam(0, MiB)
    memory.write(CHUNK_BYTES + 4, bytes(0x78, 0x56, 0x34, 0x12))
    expect(memory.words[1]?.[1]).toBe(0x1234_5678)
    const words = memory.chunkForWriting(0)
    if (words) words[2] = -2
    expect(readOf(memory, 8, 4).data).toEqual([0xfe, 0xff, 0xff, 0xff])
    expect(memory.bytes[0]?.[8]).toBe(0xfe)
  })
  test('are not made for a chunk that is only partly RAM', () => {
    const memory = new HostMemory()
    memory.addRam(0, CHUNK_BYTES - 0x1000)
    memory.addRam(CHUNK_BYTES, 0x1000)
    memory.write(0, bytes(1))
    memory.write(CHUNK_BYTES, bytes(2))
    expect([memory.chunkForWriting(0), memory.chunkForWriting(1), memory.chunkForWriting(2)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(readOf(memory, CHUNK_BYTES, 1).data).toEqual([2])
  })
  test('are withheld when the host asks so; bytes still arrive', () => {
    const memory = new HostMemory({ views: false })
    memory.addRam(0, MiB)
    memory.write(0, bytes(1))
    expect(memory.chunkForWriting(0)).toBeUndefined()
    expect(memory.words).toEqual([])
    expect(readOf(memory, 0, 1).data).toEqual([1])
  })
  test('chunk numbers of addresses beyond 49 bits match no chunk', () => {
    expect(chunkIndex(1, 0)).toBe(1 << 14)
    expect(chunkIndex(0x1_ffff, -1)).toBe(0x7fff_ffff)
    expect(chunkIndex(0x2_0000, 0)).toBe(0x7fff_ffff)
    expect(chunkIndex(-1, -1)).toBe(0x7fff_ffff)
    expect(new HostMemory().chunkForWriting(0x7fff_ffff)).toBeUndefined()
  })
})

describe('registers', () => {
  test('get the widest aligned accesses, counted from the window’s start', () => {
    const memory = new HostMemory()
    const window = new Recorder()
    memory.addMmio(0x1004, 0x20, window)
    memory.write(0x1005, bytes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
    expect(window.accesses).toEqual(['store 1 1 1', 'store 2 2 302', 'store 4 4 7060504', 'store 8 8 f0e0d0c0b0a0908'])
    expect(readOf(memory, 0x100c, 9)).toEqual({ got: 9, data: [8, 0, 0, 0, 0, 0, 0, 0, 16] })
  })
  test('hide the RAM below while they lie there, from views as well, and give it back', () => {
    const memory = new HostMemory()
    memory.addRam(0, MiB)
    memory.write(0x1000, bytes(1, 2, 3, 4))
    const remove = memory.addMmio(0x1001, 1, new Recorder(), 'one byte')
    expect(memory.words[0]).toBeUndefined()
    expect(memory.chunkForWriting(0)).toBeUndefined()
    expect(readOf(memory, 0x1000, 4).data).toEqual([1, 0, 3, 4])
    expect(memory.whatIs(0x1001)).toBe('one byte')
    memory.write(0x1000, bytes(5, 6, 7, 8))
    remove()
    expect(readOf(memory, 0x1000, 4).data).toEqual([5, 2, 7, 8])
    expect(memory.chunkForWriting(0)?.[0x400]).toBe(0x0807_0205)
  })
  test('removed twice go once', () => {
    const memory = new HostMemory()
    const remove = memory.addMmio(0x1000, 8, new Recorder())
    memory.addMmio(0x1000, 8, new Recorder(), 'below')
    remove()
    remove()
    expect(memory.whatIs(0x1000)).toBe('below')
  })
  test('the newest of two windows answers', () => {
    const memory = new HostMemory()
    const old = new Recorder()
    memory.addMmio(0x1000, 0x10, old)
    memory.addMmio(0x1004, 4, new Recorder(), 'new')
    expect([memory.whatIs(0x1000), memory.whatIs(0x1004), memory.whatIs(0x1008)]).toEqual(['mmio', 'new', 'mmio'])
    readOf(memory, 0x1000, 0x10)
    expect(old.accesses).toEqual(['load 0 4', 'load 8 8'])
  })
  test('take one aligned access as it is, cut to its size; what no window holds alone is refused', () => {
    const memory = new HostMemory()
    memory.addRam(0, MiB)
    const window = new Recorder()
    memory.addMmio(0x1004, 0x20, window)
    memory.addMmio(0x1010, 2, new Recorder(), 'new')
    expect(memory.storeRegister(0x1004, 4, -1n)).toBe(true)
    expect(memory.loadRegister(0x100c, 2)).toBe(8n)
    expect(window.accesses).toEqual(['store 0 4 ffffffff', 'load 8 2'])
    const others: [number, AccessSize][] = [
      [0x0, 4],
      [0x1000, 8],
      [0x1008, 8],
      [0x100c, 8],
      [0x1020, 8],
      [MiB, 4],
    ]
    expect(others.filter(([hpa, size]) => memory.storeRegister(hpa, size, 0n))).toEqual([])
    expect(others.filter(([hpa, size]) => memory.loadRegister(hpa, size) !== undefined)).toEqual([])
    expect(window.accesses).toHaveLength(2)
  })
  test('are not memory; a range that only touches them is not either', () => {
    const memory = new HostMemory()
    memory.addRam(0, MiB)
    memory.addMmio(0x2000, 0x1000, new Recorder())
    expect([memory.isMemory(0x1000, 0x1000), memory.isMemory(0x1fff, 2), memory.isMemory(0x2000, 1)]).toEqual([
      true,
      false,
      false,
    ])
    expect(memory.isMemory(MiB - 1, 2)).toBe(false)
  })
})

describe('a backing', () => {
  test('is read and written at its own offsets, across chunk borders', () => {
    const data = new Uint8Array(2 * CHUNK_BYTES)
    const memory = new HostMemory()
    memory.addBacking(CHUNK_BYTES, data.length, failingAt(data.length, data))
    expect(memory.write(2 * CHUNK_BYTES - 1, bytes(1, 2))).toBe(2)
    expect([data[CHUNK_BYTES - 1], data[CHUNK_BYTES]]).toEqual([1, 2])
    expect(memory.whatIs(CHUNK_BYTES)).toBe('backing')
    expect(memory.chunkForWriting(1)).toBeUndefined()
  })
  test('that fails at byte k moves k bytes and no more', () => {
    const memory = new HostMemory()
    memory.addBacking(0, 0x1000, failingAt(5, new Uint8Array(0x1000).fill(9)))
    memory.addRam(0x1000, 0x1000)
    expect(readOf(memory, 2, 8)).toEqual({ got: 3, data: [9, 9, 9, 0xee, 0xee, 0xee, 0xee, 0xee] })
    expect(memory.write(0, new Uint8Array(0x1800))).toBe(5)
    expect(readOf(memory, 5, 1).got).toBe(0)
  })
})

const entry = (memory: HostMemory, hpa: number): [boolean, number, number] => [
  memory.loadEntry(Math.floor(hpa / 2 ** 32), hpa | 0, false),
  memory.entryLo,
  memory.entryHi,
]

describe('table entries', () => {
  test('are two little-endian words, up to the edges of a chunk', () => {
    const memory = new HostMemory()
    memory.addRam(0, 2 * CHUNK_BYTES)
    expect(memory.storeEntry(0, CHUNK_BYTES - 8, 0x1111_1111, -1, false)).toBe(true)
    expect(memory.storeEntry(0, CHUNK_BYTES, 2, 3, false)).toBe(true)
    expect(entry(memory, CHUNK_BYTES - 8)).toEqual([true, 0x1111_1111, -1])
    expect(entry(memory, CHUNK_BYTES)).toEqual([true, 2, 3])
    expect(readOf(memory, CHUNK_BYTES - 8, 9).data).toEqual([0x11, 0x11, 0x11, 0x11, 0xff, 0xff, 0xff, 0xff, 2])
  })
  test('work above 4 GiB', () => {
    const memory = new HostMemory()
    memory.addRam(2 ** 33, 0x1000)
    memory.storeEntry(2, 0x10, 5, 6, false)
    expect(entry(memory, 2 ** 33 + 0x10)).toEqual([true, 5, 6])
  })
  test('do not come from registers, holes or a failing backing', () => {
    const memory = new HostMemory()
    const window = new Recorder()
    memory.addMmio(0, 0x1000, window)
    memory.addBacking(0x1000, 0x1000, failingAt(4, new Uint8Array(0x1000)))
    expect([entry(memory, 0)[0], entry(memory, 0x1000)[0], entry(memory, 0x8000)[0]]).toEqual([false, false, false])
    expect([memory.storeEntry(0, 0, 1, 1, false), memory.storeEntry(0, 0x8000, 1, 1, false)]).toEqual([false, false])
    expect(memory.storeEntry(-1, -8, 1, 1, false)).toBe(false)
    expect(window.accesses).toEqual([])
  })
  test('pass through the caches only when the walk is snooped', () => {
    const memory = new HostMemory({ views: false })
    memory.addRam(0, 0x1000)
    memory.snoop = {
      read: (_, into) => into.fill(7).length,
      write: (_, from) => from.length,
    }
    expect(memory.loadEntry(0, 0, true) && memory.entryLo).toBe(0x0707_0707)
    expect(memory.loadEntry(0, 0, false) && memory.entryLo).toBe(0)
    memory.storeEntry(0, 0, 1, 1, true)
    expect(readOf(memory, 0, 1).data).toEqual([0])
  })
})

test('any sequence of writes reads back as one flat array would', () => {
  const size = 2 * CHUNK_BYTES
  const write = fc.record({
    at: fc.integer({ min: 0, max: size + 100 }),
    data: fc.uint8Array({ maxLength: 300 }),
    border: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(write, { maxLength: 30 }), fc.boolean(), (writes, views) => {
      const memory = new HostMemory({ views })
      memory.addRam(0, size)
      const flat = new Uint8Array(size)
      for (const { at, data, border } of writes) {
        const hpa = border ? Math.floor(at / CHUNK_BYTES) * CHUNK_BYTES + CHUNK_BYTES - Math.floor(data.length / 2) : at
        const fits = Math.max(0, Math.min(data.length, size - hpa))
        expect(memory.write(hpa, data)).toBe(fits)
        flat.set(data.subarray(0, fits), Math.min(hpa, size))
      }
      const all = new Uint8Array(size)
      expect(memory.read(0, all)).toBe(size)
      expect(all.findIndex((b, i) => b !== flat[i])).toBe(-1)
    }),
    { numRuns: 20 },
  )
})
