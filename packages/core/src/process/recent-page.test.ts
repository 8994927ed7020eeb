import { describe, expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { AddressSpace } from './address-space.ts'
import { Frames } from './frames.ts'
import { SharedPages } from './memory-pages.ts'
import { PageRunList } from './pins.ts'

const AT = 0x10_0000n

/** An address space with a page that was just written and read: the recent one. */
function setUp() {
  const memory = new HostMemory()
  memory.addRam(0, 2 ** 24)
  const [cpu] = makeCpus(memory, undefined, 1)
  const frames = new Frames(new PageAllocator(memory, cpu), cpu, 4096)
  const space = new AddressSpace(frames)
  space.mmap({ uva: AT, bytes: 8192 })
  put(space, 1, 2, 3)
  return { memory, frames, space }
}
const put = (space: AddressSpace, ...values: number[]): number => space.copyOut(AT, Uint8Array.from(values))
function see(space: AddressSpace, uva: bigint = AT): number[] {
  const into = new Uint8Array(3)
  return [...into.subarray(0, space.copyIn(uva, into))]
}
/** The host page that a device reads. */
function hostPage(space: AddressSpace): number {
  const runs = new PageRunList()
  space.pin(AT, 1, { write: false }, runs)
  return runs.hpa[0] as number
}

describe('after a small copy the next one sees', () => {
  test('that the page was unmapped, or mapped anew', () => {
    const { space } = setUp()
    space.munmap(AT, 4096)
    expect([see(space), put(space, 9)]).toEqual([[], 0])
    space.mmap({ uva: AT, bytes: 4096 })
    expect(see(space)).toEqual([0, 0, 0])
  })
  test('that it may not be written any more, or not be reached at all', () => {
    const { space } = setUp()
    space.protect(AT, 4096, { read: true, write: false })
    expect([put(space, 9), see(space)]).toEqual([0, [1, 2, 3]])
    space.protect(AT, 4096, { read: false, write: false })
    expect(see(space)).toEqual([])
  })
  test('that it was given up', () => {
    const { space } = setUp()
    space.advise(AT, 4096, 'dontneed')
    expect(see(space)).toEqual([0, 0, 0])
  })
  test('that it is shared with a child until one side writes', () => {
    const { space } = setUp()
    const child = space.fork()
    expect(see(child)).toEqual([1, 2, 3])
    put(space, 7)
    put(child, 8)
    expect([see(space), see(child)]).toEqual([
      [7, 2, 3],
      [8, 2, 3],
    ])
  })
  test('that a hole was punched into the file, or its end came nearer', () => {
    const { frames } = setUp()
    const file = new SharedPages(frames, { bytes: 4096 })
    const space = new AddressSpace(frames)
    space.mmap({ uva: AT, bytes: 4096, object: file, shared: true })
    put(space, 5)
    file.punch(0, 1)
    expect(see(space)).toEqual([0, 0, 0])
    put(space, 6)
    file.truncate(0)
    expect([see(space), put(space, 7)]).toEqual([[], 0])
  })
  test('registers that were laid over its memory', () => {
    const { memory, space } = setUp()
    const stored: bigint[] = []
    const remove = memory.addMmio(hostPage(space), 4096, {
      load: (_offset, size) => BigInt.asUintN(size * 8, -1n),
      store: (_offset, _size, value) => stored.push(value),
    })
    expect(see(space)).toEqual([255, 255, 255])
    put(space, 4)
    expect(stored).toEqual([4n])
    remove()
    expect(see(space)).toEqual([1, 2, 3])
  })
})

describe('a small copy', () => {
  test('that reaches over the end of the recent page goes on in the next one', () => {
    const { space } = setUp()
    const end = AT + 4096n
    expect(space.copyOut(end - 2n, Uint8Array.of(4, 5, 6))).toBe(3)
    expect(see(space, end - 2n)).toEqual([4, 5, 6])
    expect(see(space, end + 4094n)).toEqual([0, 0])
  })
  test('reads a page that was never written as zeros, and takes no memory for it', () => {
    const { frames } = setUp()
    const space = new AddressSpace(frames)
    space.mmap({ uva: AT, bytes: 4096 })
    const before = frames.changes
    expect([see(space), see(space), frames.changes - before]).toEqual([[0, 0, 0], [0, 0, 0], 0])
    put(space, 3)
    expect(see(space)).toEqual([3, 0, 0])
  })
  test('does not reach the kernel, nor what lies beyond 64 bits', () => {
    const { space } = setUp()
    expect([see(space, 0xffff_8000_0000_0000n), see(space, 2n ** 64n - 1n)]).toEqual([[], []])
  })
})
