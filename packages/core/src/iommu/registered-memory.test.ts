import { describe, expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { AddressSpace } from '../process/address-space.ts'
import { Frames } from '../process/frames.ts'
import { RegisteredMemory, type RegisteredRegion } from './registered-memory.ts'

const AT = 0x100_0000n
const KIB = 1024

function setUp(pageBytes = 4 * KIB) {
  const memory = new HostMemory()
  memory.addRam(0, 64 * KIB * KIB)
  const [cpu] = makeCpus(memory, undefined, 1)
  const frames = new Frames(new PageAllocator(memory, cpu), cpu, pageBytes)
  const space = new AddressSpace(frames)
  space.mmap({ uva: AT, bytes: 64 * pageBytes })
  const registered = RegisteredMemory.of(space)
  const create = (page: number, pages: number, limit = Infinity): RegisteredRegion =>
    registered.create(AT + BigInt(page * pageBytes), pages, limit) as RegisteredRegion
  return { frames, space, registered, create, locked: () => space.locked.pages }
}

describe('a region', () => {
  test('is pinned for writing and charged, and goes with its last user', () => {
    const { frames, registered, create, locked } = setUp()
    const region = create(0, 4)
    expect([frames.pinned, locked(), region.users, region.mapped]).toEqual([4, 4, 1, 1])
    expect(registered.get(AT, 4)).toBe(region)
    registered.put(region)
    expect(registered.regions).toEqual([region])
    registered.put(region)
    expect([registered.regions, frames.pinned, locked()]).toEqual([[], 0, 0])
  })
  test('is found by exactly its range, and by any part of it', () => {
    const { registered, create } = setUp()
    const region = create(4, 4)
    expect([registered.get(AT + 0x4000n, 3), registered.get(AT + 0x5000n, 4)]).toEqual([undefined, undefined])
    const first = Number(AT) + 0x4000
    expect([registered.lookup(first, 0x4000), registered.lookup(first + 0x3000, 0x1000)]).toEqual([region, region])
    expect([registered.lookup(first - 1, 2), registered.lookup(first + 0x3000, 0x1001)]).toEqual([undefined, undefined])
  })
  test('that entries lead into stays with its last user', () => {
    const { registered, create } = setUp()
    const region = create(0, 4)
    expect(registered.addMapping(region)).toBe(true)
    expect(() => registered.put(region)).toThrow('EBUSY')
    expect(region.users).toBe(1)
    registered.removeMapping(region)
    registered.removeMapping(region)
    expect(region.mapped).toBe(1)
    registered.put(region)
    expect([registered.regions, registered.addMapping(region)]).toEqual([[], false])
  })
  test('outlives what was mapped there', () => {
    const { frames, space, create, registered } = setUp()
    const region = create(0, 4)
    space.munmap(AT, 0x4000)
    space.destroy()
    expect(frames.pinned).toBe(4)
    registered.put(region)
    expect(frames.pinned).toBe(0)
  })
})

describe('refused, with nothing left behind', () => {
  test('beyond the limit, no pages, more than the host could list', () => {
    const { frames, registered, create, locked } = setUp()
    expect(() => create(0, 4, 3)).toThrow('ENOMEM')
    expect(() => create(0, 0)).toThrow('ENOMEM')
    expect(() => registered.create(AT, 5, Infinity, 4)).toThrow('ENOMEM')
    expect([frames.pinned, locked()]).toEqual([0, 0])
  })
  test('read-only memory and holes at the first page', () => {
    const { frames, space, create, locked } = setUp()
    space.protect(AT, 0x1000, { read: true, write: false })
    space.munmap(AT + 0x4000n, 0x1000)
    expect(() => create(0, 4)).toThrow('EFAULT')
    expect(() => create(4, 4)).toThrow('EFAULT')
    expect([frames.pinned, locked()]).toEqual([0, 0])
  })
  test('a hole later on: how many pages came before it', () => {
    const { frames, space, registered, create, locked } = setUp()
    space.munmap(AT + 0x3000n, 0x1000)
    expect([create(0, 8), registered.regions, frames.pinned, locked()]).toEqual([3, [], 0, 0])
  })
  test('what overlaps another region, from any side', () => {
    const { frames, create, locked } = setUp()
    create(8, 8)
    for (const [page, pages] of [
      [8, 4],
      [4, 8],
      [12, 8],
      [0, 32],
    ] as const)
      expect(() => create(page, pages)).toThrow('EINVAL')
    create(0, 8)
    create(16, 8)
    expect([frames.pinned, locked()]).toEqual([24, 24])
  })
})

describe('targets', () => {
  test('the page behind an address, and the place in it', () => {
    const { registered, create } = setUp()
    const region = create(0, 4)
    const [first, second] = [region.hpas[0] as number, region.hpas[1] as number]
    expect(registered.target(region, Number(AT) + 0x1010, 12)).toBe(second + 0x10)
    expect(registered.target(region, Number(AT), 12)).toBe(first)
  })
  test('small pages allow small entries alone, whatever their alignment', () => {
    const { registered, create } = setUp()
    const region = create(0, 16)
    expect([region.pageShift, registered.target(region, Number(AT), 16)]).toEqual([12, undefined])
  })
  test('huge pages allow as much as the alignment of the range', () => {
    const { space, registered } = setUp()
    const huge = 0x1000_0000n
    space.mmap({ uva: huge, bytes: 0x40_0000, huge: 0x20_0000 })
    const shiftOf = (first: bigint, pages: number): number => {
      const region = registered.create(first, pages, Infinity) as RegisteredRegion
      registered.put(region)
      return region.pageShift
    }
    expect(shiftOf(huge, 1024)).toBe(21)
    expect(shiftOf(huge + 0x10000n, 16)).toBe(16)
    expect(shiftOf(huge + 0x1000n, 16)).toBe(12)
  })
  test('pages of 64 KiB hold sixteen entries of 4 KiB', () => {
    const { registered, create } = setUp(64 * KIB)
    const region = create(0, 2)
    expect(region.pageShift).toBe(16)
    expect(registered.target(region, Number(AT) + 0x13000, 12)).toBe((region.hpas[1] as number) + 0x3000)
  })
})
